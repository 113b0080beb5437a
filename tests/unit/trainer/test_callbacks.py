"""What happens beside a run: the weight of the KL term, and who writes the metrics."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from trainer.callbacks import AdaptiveKLCallback, MetricsCallback
from trainer.history import MetricsFile, read_metrics
from trainer.kl_control import KLControl

ARGS = cast("TrainingArguments", None)
CONTROL = TrainerControl()


def _adaptive(beta: float) -> tuple[Any, AdaptiveKLCallback]:
    trainer = SimpleNamespace(beta=beta)
    return trainer, AdaptiveKLCallback(cast("Any", trainer), KLControl())


def test_weight_follows_the_logged_kl() -> None:
    """The line tells the weight that was used; the next steps get another."""
    trainer, callback = _adaptive(0.04)
    used = []
    for kl in (0.5, 0.05, 0.001):
        logs = {"kl": kl}
        callback.on_log(ARGS, TrainerState(), CONTROL, logs=logs)
        used.append(logs["kl_coeff"])
    assert (used, trainer.beta) == ([0.04, 0.08, 0.08], 0.04)


@pytest.mark.parametrize("logs", [None, {}, {"train_loss": 1.0}, {"kl": None}])
def test_line_without_a_kl_changes_nothing(logs: dict[str, Any] | None) -> None:
    """The summary at the end of a run, or a batch of which none was measured."""
    trainer, callback = _adaptive(0.04)
    callback.on_log(ARGS, TrainerState(), CONTROL, logs=logs)
    assert trainer.beta == 0.04
    assert "kl_coeff" not in (logs or {})


def test_weight_goes_through_a_checkpoint(tmp_path: Path) -> None:
    """As Transformers saves the state of a run and reads it back."""
    _, callback = _adaptive(0.32)
    file = str(tmp_path / "trainer_state.json")
    TrainerState(stateful_callbacks=cast("Any", [callback])).save_to_json(file)
    trainer, resumed = _adaptive(0.08)
    resumed.on_train_begin(ARGS, TrainerState.load_from_json(file), CONTROL)
    assert trainer.beta == 0.32


def test_checkpoint_without_a_weight() -> None:
    """The run begins with its own, and its checkpoints have a place for it."""
    trainer, callback = _adaptive(0.08)
    state = TrainerState()
    callback.on_train_begin(ARGS, state, CONTROL)
    assert trainer.beta == 0.08
    assert cast("Any", state.stateful_callbacks)["AdaptiveKLCallback"] == callback.state()


@pytest.mark.parametrize(("is_first", "lines"), [(True, 1), (False, 0)])
def test_one_rank_writes_the_metrics(tmp_path: Path, is_first: bool, lines: int) -> None:
    """Several would write every line several times."""
    file = tmp_path / "metrics.jsonl"
    callback = MetricsCallback(MetricsFile(file))
    state = TrainerState(is_world_process_zero=is_first)
    callback.on_train_begin(ARGS, state, CONTROL)
    callback.on_log(ARGS, state, CONTROL, logs={"reward": 1.0})
    assert len(read_metrics(file)) == lines
