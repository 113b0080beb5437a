"""TRL's own trainer plays an episode: it renders the tool, calls it, and asks for the reward."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from reward_client.environments.trl import ExtendEnvironment, PhaseEnvironment
from tests.unit.reward_client.environments.made_up import MadeUp

CALL = '<tool_call>\n{{"name": "{}", "arguments": {{"{}": {}}}}}\n</tool_call>'
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def bytes_tokenizer() -> Any:  # noqa: ANN401
    """A token a byte, and the chat template of a model family that calls tools."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE({token: n for n, token in enumerate(alphabet)}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        additional_special_tokens=SPECIAL[1:2],
    )
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    tokenizer.chat_template = template.read_text()
    return tokenizer


def model_that_says(tokenizer: Any, call: str) -> Any:  # noqa: ANN401
    """It calls the tool once, and is done when it has the tool's answer."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]

    def generate(input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        rows = []
        for row in input_ids.tolist():
            said = call if "<tool_response>" not in tokenizer.decode(row) else "Done."
            rows.append(row + tokenizer(said + SPECIAL[2])["input_ids"])
        longest = max(map(len, rows))
        padded = [row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows]
        return torch.tensor(padded)

    model.generate = generate
    return model


@pytest.mark.parametrize(
    ("kind", "call", "completion"),
    [
        (PhaseEnvironment, CALL.format("show_phase", "phase", 2), '{"next_phase_id": 2}'),
        (ExtendEnvironment, CALL.format("extend_green", "extend", "true"), '{"extend": "yes"}'),
    ],
    ids=["phase", "extend"],
)
def test_trainer_plays(
    kind: Callable[..., Any],
    call: str,
    completion: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step of GRPO: the row's seed, the tool's call and the reward of the whole episode."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    tokenizer, made_up = bytes_tokenizer(), MadeUp(steps=3)
    rows = [{"prompt": [{"role": "user", "content": "Drive. "}], "seed": 7}] * 2
    settings = trl.GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=512,
        max_steps=1,
        report_to=[],
        use_cpu=True,
        logging_steps=1,
    )
    trainer = trl.GRPOTrainer(
        model=model_that_says(tokenizer, call),
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        environment_factory=partial(kind, made_up),
    )
    trainer.train()
    played = [one for one in made_up.begun if one.asked]
    assert [one.request.seed for one in played] == [7, 7]
    for one in played:
        assert [step.completions for step in one.asked] == [{"C": completion}, {}, {}]
    (log,) = [one for one in trainer.state.log_history if "reward" in one]
    assert log["reward"] == (-2 - 3 - 4) / 3
    assert log["tools/call_frequency"] == 1.0
    assert log["tools/failure_frequency"] == 0.0
