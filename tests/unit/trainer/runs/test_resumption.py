"""A run that goes on from a checkpoint does what it is set to, or says why not."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import ConfigError
from trainer import GRPOTrainingConfig
from trainer.offline import OfflineConfig
from trainer.pointer import PointerConfig
from trainer.runs.resumption import RunRecord, check_resumed
from trainer.sft import SFTTrainingConfig

ROWS = [["a", 1], ["b", 2]]


def record(rows: object = ROWS, **changes: object) -> RunRecord:
    """That of a GRPO run with these settings."""
    assert isinstance(rows, list)
    return RunRecord.of(GRPOTrainingConfig(**changes).to_dict(), rows)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """One of a run with default settings."""
    record().write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("changes", [{"learning_rate": 3e-6}, {"kl_coeff": 0.5}])
def test_rate_and_kl_are_applied_and_said(checkpoint: Path, changes: dict[str, float]) -> None:
    """As the hints tell users to change them."""
    with capture_logs() as lines:
        applied = check_resumed(checkpoint, record(**changes), ())
    assert [line["setting"] for line in lines] == list(changes)
    assert applied == set(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.5},
        {"num_generations": 8},
        {"reward_name": "queue"},
        {"horizon_s": 30},
        {"lr_scheduler_type": "cosine"},
        {"warmup_steps": 3},
        {"seed": 1},
        {"loss_type": "grpo"},
        {"prompt_form": "words"},
        {"reward_seeds": [1, 2]},
    ],
)
def test_other_changes_are_named_and_refused_unless_allowed(
    checkpoint: Path, changes: dict[str, object]
) -> None:
    """With both values, and what to write to go on all the same."""
    (name,) = changes
    now = record(**changes)
    with pytest.raises(ConfigError, match=rf"{name} was .*, is .*resume_changes=\[{name}\]"):
        check_resumed(checkpoint, now, ["top_p"])
    check_resumed(checkpoint, now, [name])
    check_resumed(checkpoint, now, ["all"])


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": 9},
        {"output_dir": "elsewhere"},
        {"reward_url": "http://other:8000"},
        {"reward_api_key": "s3cret"},
        {"save_steps": 5},
        {"health_kl": 2.0},
        {"dataset_path": "the/same/rows"},
        {"resume_changes": ["all"]},
    ],
)
def test_what_is_learned_is_not_changed_by_these(
    checkpoint: Path, changes: dict[str, object]
) -> None:
    """How long, where and with whose help a run goes on."""
    check_resumed(checkpoint, record(**changes), ())


def test_every_setting_has_its_place() -> None:
    """A setting that is free to change is one that exists."""
    from trainer.runs.resumption import _FREE

    kinds = (GRPOTrainingConfig, SFTTrainingConfig, OfflineConfig, PointerConfig)
    known = {name for kind in kinds for name in kind.model_fields}
    assert known >= _FREE
    assert {"resume_changes", "base_path"} <= GRPOTrainingConfig.model_fields.keys()


@pytest.mark.parametrize("rows", [ROWS[:1], [*ROWS, ROWS[0]], ROWS[::-1], [["a", 1], ["b", 3]]])
def test_other_rows_are_refused_unless_allowed(checkpoint: Path, rows: list[list[object]]) -> None:
    """Fewer, more, or in another order: prompts would be skipped or repeated."""
    with pytest.raises(ConfigError, match=r"different rows .*resume_changes=\[dataset_path\]"):
        check_resumed(checkpoint, record(rows), ())
    check_resumed(checkpoint, record(rows), ["dataset_path"])


def test_other_number_of_ranks_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draws answers of its own, and takes its share of a batch."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="ranks were 1, are 2"):
        check_resumed(checkpoint, record(), ())


def test_key_is_not_kept(checkpoint: Path) -> None:
    """A checkpoint is given away more easily than a key."""
    record(reward_api_key="s3cret").write(checkpoint)
    assert "s3cret" not in (checkpoint / "run.json").read_text()


def test_checkpoint_of_an_earlier_version_is_believed(tmp_path: Path) -> None:
    """And it is said that nothing was compared."""
    with capture_logs() as lines:
        check_resumed(tmp_path, record(temperature=0.1), ())
    assert "nothing is compared" in lines[0]["event"]


def test_groups_are_compared_by_their_flat_names(checkpoint: Path) -> None:
    """A checkpoint from before there were groups is gone on with, in either form."""
    check_resumed(checkpoint, record(reward={"horizon_s": 60}, health={"kl": 3.0}), ())
    with pytest.raises(ConfigError, match=r"horizon_s was 60, is 30"):
        check_resumed(checkpoint, record(reward={"horizon_s": 30}), ())
