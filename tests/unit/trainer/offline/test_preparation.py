"""Queries are split, and what cannot be run is refused before a model is loaded."""

import json
from pathlib import Path

import pytest

from shared.errors import ConfigError, DatasetError
from tests.unit.trainer.whole_checkpoint import save_whole_checkpoint
from trainer.offline.config import OfflineConfig
from trainer.offline.preparation import prepare_offline


@pytest.fixture
def config(tmp_path: Path) -> OfflineConfig:
    """Ten queries, and a folder that looks like a model."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    rows = [
        {"prompt": f"query {number}", "id_list": ["a", "b"], "score_list": [1, number]}
        for number in range(10)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return OfflineConfig(
        model_path=str(model),
        beam_data=str(file),
        output_dir=str(tmp_path / "run"),
        validation_share=0.2,
        device="cpu",
        lora_rank=0,
    )


def _checkpoint(config: OfflineConfig, stage: str, step: int) -> Path:
    folder = Path(config.output_dir) / stage / f"checkpoint-{step}"
    return save_whole_checkpoint(folder, step)


def test_a_share_of_the_queries_is_held_out(config: OfflineConfig) -> None:
    """No query is on both sides, and the seed says which are held out."""
    ready, again = prepare_offline(config), prepare_offline(config)
    train, held = (
        {group.prompt[0]["content"] for group in side} for side in (ready.train, ready.validation)
    )
    assert (len(train), len(held), train & held) == (8, 2, set())
    assert again.validation == ready.validation
    assert prepare_offline(config.model_copy(update={"seed": 7})).validation != ready.validation
    assert [len(one) for one in ready.train_advantages] == [2] * 8


def test_max_samples_bounds_the_queries(config: OfflineConfig) -> None:
    """Before some are held out."""
    ready = prepare_offline(config.model_copy(update={"max_samples": 5}))
    assert (len(ready.train), len(ready.validation)) == (4, 1)


def test_validation_data_of_its_own_leaves_all_queries_to_training(config: OfflineConfig) -> None:
    """Whatever the share says."""
    ready = prepare_offline(config.model_copy(update={"validation_data": config.beam_data}))
    assert (len(ready.train), len(ready.validation)) == (10, 10)


def test_too_few_queries_to_hold_some_out_are_refused(config: OfflineConfig) -> None:
    """And a share of 0 is offered."""
    with pytest.raises(DatasetError, match="validation_share: 0"):
        prepare_offline(config.model_copy(update={"max_samples": 2}))
    ready = prepare_offline(config.model_copy(update={"max_samples": 2, "validation_share": 0}))
    assert (len(ready.train), len(ready.validation)) == (2, 0)


def test_all_weights_are_trained_in_32_bits_unless_asked_otherwise(config: OfflineConfig) -> None:
    """Also on a machine that computes in 16."""
    assert not prepare_offline(config).hardware.is_bf16
    assert prepare_offline(config.model_copy(update={"precision": "bf16"})).hardware.is_bf16


def test_the_checkpoints_of_another_run_are_not_written_over(config: OfflineConfig) -> None:
    """Going on from them is offered."""
    _checkpoint(config, "rce", 4)
    with pytest.raises(ConfigError, match="resume_from_checkpoint: latest"):
        prepare_offline(config)


def _start(config: OfflineConfig) -> tuple[str | None, Path | None]:
    """What a run goes on from."""
    ready = prepare_offline(config)
    return ready.stage, ready.checkpoint


def test_latest_is_the_newest_checkpoint_of_the_later_stage(config: OfflineConfig) -> None:
    """However many steps the earlier one has."""
    latest = config.model_copy(update={"resume_from_checkpoint": "latest"})
    with pytest.raises(ConfigError, match="no checkpoint in"):
        prepare_offline(latest)
    earlier = _checkpoint(config, "rce", 99)
    assert _start(latest) == ("rce", earlier)
    _checkpoint(config, "grpo", 9)
    newest = _checkpoint(config, "grpo", 10)
    assert _start(latest) == ("grpo", newest)


def test_a_checkpoint_may_be_named(config: OfflineConfig) -> None:
    """Its folder says its stage."""
    _checkpoint(config, "grpo", 9)
    named = _checkpoint(config, "rce", 3)
    again = config.model_copy(update={"resume_from_checkpoint": str(named)})
    assert _start(again) == ("rce", named)
    elsewhere = config.model_copy(update={"resume_from_checkpoint": config.model_path})
    with pytest.raises(ConfigError, match="not a checkpoint of a stage"):
        prepare_offline(elsewhere)


def test_candidates_are_looked_over(config: OfflineConfig, tmp_path: Path) -> None:
    """Those to train on and those to validate on."""
    row = {"prompt": "query", "id_list": ["a", "b"], "score_list": [1, 1]}
    (flat := tmp_path / "flat.jsonl").write_text(f"{json.dumps(row)}\n" * 9)
    with pytest.raises(DatasetError, match="nothing to learn"):
        prepare_offline(config.model_copy(update={"beam_data": str(flat)}))
    row = {"prompt": "query", "id_list": ["a", "a"], "score_list": [1, 2]}
    (wrong := tmp_path / "wrong.jsonl").write_text(f"{json.dumps(row)}\n")
    with pytest.raises(DatasetError, match="a different score"):
        prepare_offline(config.model_copy(update={"validation_data": str(wrong)}))
