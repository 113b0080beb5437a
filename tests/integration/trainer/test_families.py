"""Every kind of training under the chat templates of model families."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.trainer.families import FAMILIES, Family, save_family
from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import save_lessons
from trainer import GRPOTrainingConfig, train_grpo
from trainer.models.chat import answer_frame, prompt_text
from trainer.models.loading import LoadedModel, load_model, pick_hardware
from trainer.offline import OfflineConfig, train_offline
from trainer.runs.history import read_metrics
from trainer.settings import ModelSettings
from trainer.sft import SFTTrainingConfig, train_sft

YES, NO = '{"extend": "yes"}', '{"extend": "no"}'
PROMPT = [
    {"role": "system", "content": "Control the light."},
    {"role": "user", "content": '{"queued":1}'},
]


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """One after the other."""
    found: Family = request.param
    return found


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its model is."""
    return save_family(family, tmp_path_factory.mktemp(family.name))


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a dozen rows."""
    moments = [Moment(queued=(n, 4), approaching=(n, 0), yes_veh=n, no_veh=4) for n in range(16)]
    return save_lessons(tmp_path_factory.mktemp("rows") / "net", moments, eval_rows=4)


def load(folder: Path) -> LoadedModel:
    """As every training does."""
    config = ModelSettings(model_path=str(folder), lora_rank=0, device="cpu", precision="fp32")
    return load_model(config, pick_hardware(config))


def test_turns_begin_and_end_as_the_template_has_it(family: Family, folder: Path) -> None:
    """System text is said, answers end by the turn's end, and something pads."""
    loaded = load(folder)
    tokenizer, model = loaded.tokenizer, loaded.model
    text = prompt_text(tokenizer, PROMPT)
    assert text.count("Control the light.") == 1
    assert text.index("Control the light.") < text.index('{"queued":1}')
    assert text.endswith(family.opened)
    assert tokenizer.eos_token == family.turn_end
    ends = model.generation_config.eos_token_id
    assert tokenizer.eos_token_id in (ends if isinstance(ends, list) else [ends])
    assert tokenizer.pad_token == (family.pad or family.eos)
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert answer_frame(tokenizer).text(YES) == f"{family.taught}{YES}{family.turn_end}"


def test_what_was_saved_is_prepared(family: Family, folder: Path, tmp_path: Path) -> None:
    """Whoever loads a trained model says and ends its turns alike; nothing is done twice."""
    loaded = load(folder)
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert again.tokenizer.chat_template == loaded.tokenizer.chat_template
    assert (again.tokenizer.chat_template == family.source()) is family.has_system
    assert again.tokenizer.eos_token == loaded.tokenizer.eos_token
    assert again.model.generation_config.eos_token_id == loaded.model.generation_config.eos_token_id


def test_a_conversation_is_said_after_it_was_folded(family: Family, folder: Path) -> None:
    """With the turns of examples between, as prompt_examples has them."""
    turns = [PROMPT[0], PROMPT[1], {"role": "assistant", "content": YES}, PROMPT[1]]
    text = prompt_text(load(folder).tokenizer, turns)
    assert text.count('{"queued":1}') == 2
    assert text.count(YES) == text.count("Control the light.") == 1


def save_rows(file: Path) -> Path:
    """Eight rows with two answers, of which the longer queue's is the better."""
    rows: list[dict[str, Any]] = [
        {
            "prompt": [PROMPT[0], {"role": "user", "content": f'{{"queued":{number}}}'}],
            "id_list": [YES, NO],
            "score_list": [1.0, -1.0],
            "state_id": f"net@{number}-0123456789ab",
            "tls_id": "A",
            "decision_kind": "extend",
        }
        for number in range(8)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


_COMMON: dict[str, object] = {
    "lora_rank": 0,
    "device": "cpu",
    "precision": "fp32",
    "optim": "adamw_torch",
    "logging_steps": 1,
    "max_seq_length": 512,
}
_TEACHING = _COMMON | {
    "source": "format",
    "max_steps": 60,
    "batch_size": 4,
    "learning_rate": 0.01,
    "warmup_steps": 0,
    "max_new_tokens": 16,
    "check_rows": 4,
}
_OFFLINE = _COMMON | {
    "learning_rate": 0.003,
    "rce_epochs": 4,
    "grpo_epochs": 1,
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
}
_GRPO = _COMMON | {
    "reward_retries": 0,
    "reward_outage_s": 0,
    "max_steps": 2,
    "batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_generations": 4,
    "max_new_tokens": 16,
    "temperature": 0.3,
    "learning_rate": 1e-5,
    "warmup_steps": 0,
}


def test_every_training_ends_in_strict_answers(
    family: Family, folder: Path, lessons: Path, tmp_path: Path
) -> None:
    """Supervised, then offline or by GRPO: what was taught is strict, ends, and is sent whole."""
    where = {"model_path": str(folder), "dataset_path": str(lessons)}
    where |= {"output_dir": str(tmp_path / "sft")}
    taught = train_sft(SFTTrainingConfig.checked(_TEACHING | where), show_progress=False)
    assert taught.check is not None
    assert (taught.check.strict_share, taught.check.invalid) == (1.0, {})

    rows = str(save_rows(tmp_path / "rows.jsonl"))
    where = {"model_path": str(taught.files.model), "beam_data": rows, "validation_data": rows}
    where |= {"output_dir": str(tmp_path / "offline")}
    offline = train_offline(OfflineConfig.checked(_OFFLINE | where), show_progress=False)
    assert offline.after is not None
    assert offline.after.agreement == 1

    service = SmallService(yes_is_better)
    where = {"model_path": str(taught.files.model), "dataset_path": str(lessons)}
    where |= {"output_dir": str(tmp_path / "grpo")}
    with running(service) as url:
        config = GRPOTrainingConfig.checked(_GRPO | where | {"reward_url": url})
        report = train_grpo(config, show_progress=False)
    sent = [item.completion or "" for one in service.requests[1:] for item in one.items]
    assert {text.replace(NO, YES) for text in sent} == {f"{family.opened}{family.taught}{YES}"}
    for line in read_metrics(report.files.metrics):
        assert line["rewards/format/mean"] == 1.0
        assert line["completions/clipped_ratio"] == 0.0
