"""Examples in prompts with a real small model: certainty, a selector, and what these are worth."""

from pathlib import Path

import pytest
import torch

from shared.errors import ConfigError, DatasetError
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from tests.unit.trainer.models.test_small_model import CONVERSATIONS
from trainer.evaluation import EvaluationPlan, Generation, evaluate
from trainer.examples.building import ExamplesPlan, build_examples, load_reader
from trainer.examples.solved import ExamplePool
from trainer.models.chat import prompt_text
from trainer.models.loading import load_model, pick_hardware
from trainer.models.small_model import save_small_model
from trainer.pointer.config import PointerConfig
from trainer.pointer.run import train_pointer
from trainer.settings import ModelSettings


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that can say both answers."""
    folder = tmp_path_factory.mktemp("small")
    save_small_model(CONVERSATIONS, folder, 0)
    return folder


def _points(root: Path) -> Path:
    moments = [
        Moment(yes_veh=1.0 + number % 2, no_veh=1.5, queued=(number, 3)) for number in range(16)
    ]
    save_dataset(root, moments)
    (root / "train.jsonl").write_bytes((root / "eval.jsonl").read_bytes())
    return root


def test_certainty_is_that_of_the_next_token(small: Path) -> None:
    """For prompts of different lengths in one batch, some with a common begin."""
    prompts = [
        [{"role": "user", "content": text}]
        for text in ("9 cars", "9 cars wait", "9 cars wait here", "well, what is it then?")
    ]
    found = load_reader(str(small)).yes_shares(prompts)
    config = ModelSettings(model_path=str(small), lora_rank=0, precision="fp32")
    loaded = load_model(config, pick_hardware(config))
    for prompt, shares in zip(prompts, found, strict=True):
        text = prompt_text(loaded.tokenizer, prompt)
        ids = loaded.tokenizer(text + '{"extend": "yes"}', add_special_tokens=False)["input_ids"]
        other = loaded.tokenizer(text + '{"extend": "no"}', add_special_tokens=False)["input_ids"]
        at = next(n for n, (one, two) in enumerate(zip(ids, other, strict=True)) if one != two)
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([ids[:at]])).logits[0, -1]
        expected = logits[[ids[at], other[at]]].log_softmax(-1)
        torch.testing.assert_close(shares, expected, rtol=1e-4, atol=1e-5)


def test_ways_to_choose_examples_are_judged_beside_each_other(small: Path, tmp_path: Path) -> None:
    """From a dataset to a selector to figures; what does not fit is refused."""
    root, model, out = _points(tmp_path / "net"), str(small), tmp_path / "examples"
    plan = ExamplesPlan((root,), model, out, pool_size=6, queries=8, seconds=3)
    built = build_examples(plan, load_reader(model))
    assert built.best > built.alone or built.best == pytest.approx(built.alone)
    folder = ExamplePool(out)
    config = PointerConfig(
        beam_data=str(folder.beams),
        pool=str(folder.pool),
        pool_embeddings=str(folder.pool_embeddings),
        query_embeddings=str(folder.query_embeddings),
        output_dir=str(tmp_path / "run"),
        validation_share=0,
        hidden_size=8,
        attention_heads=2,
        sft_epochs=1,
        rce_epochs=1,
        grpo_epochs=1,
        device="cpu",
    )
    train_pointer(config, show_progress=False)
    ways = ("none", "nearest", "random", f"pointer:{tmp_path / 'run'}")
    asked = EvaluationPlan((root,), baselines=(), models=(model,), examples=ways)
    with pytest.raises(ConfigError, match="needs --examples-from"):
        evaluate(asked)
    found = evaluate(
        EvaluationPlan((root,), baselines=(), models=(model,), examples=ways, examples_from=out)
    )
    assert [one.policy for one in found.policies] == [model, *(f"{model} + {w}" for w in ways[1:])]
    assert all(one.overall.points == 16 for one in found.policies)
    likelier = EvaluationPlan(
        (root,),
        baselines=(),
        models=(model,),
        examples=ways,
        examples_from=out,
        generation=Generation(by_likelihood=True),
    )
    for one in evaluate(likelier).policies:
        assert one.overall.invalid_share is not None
        assert one.overall.invalid_share.value == 0
    with pytest.raises(DatasetError, match="not a folder of examples"):
        evaluate(
            EvaluationPlan(
                (root,), baselines=(), models=(model,), examples=ways, examples_from=root
            )
        )
