"""What steers a run: the weight of the KL term, and when it ends."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from trainer.callbacks.control import (
    AdaptiveKLCallback,
    AdaptiveTemperatureCallback,
    StopCallback,
    TimeLimitCallback,
    UnscoredStepCallback,
)
from trainer.callbacks.kl_control import KLControl
from trainer.ranks import first_of_ranks
from trainer.runs.run_stats import BatchCounts, FailureLimit, RunStats, StopFlag

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


def test_temperature_follows_the_logged_kl() -> None:
    """Up where the model is far from its start, down where it is near, and within its bounds."""
    trainer = SimpleNamespace(temperature=1.0, beta=0.1)
    control = KLControl(factor=1.5, least=0.5, most=2.0)
    callback = AdaptiveTemperatureCallback(cast("Any", trainer), control)
    used = []
    for kl in (0.5, 0.5, 0.5, 0.05, 0.001):
        logs = {"kl": kl}
        callback.on_log(ARGS, TrainerState(), CONTROL, logs=logs)
        used.append(logs["temperature"])
    assert used == [1.0, 1.5, 2.0, 2.0, 2.0]
    assert trainer.temperature == pytest.approx(2.0 / 1.5)
    assert trainer.beta == 0.1
    assert callback.state()["attributes"] == {"temperature": trainer.temperature}


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


@pytest.mark.parametrize("reasons", [[None, None], [None, "it is gone"]])
def test_one_rank_stops_all(monkeypatch: pytest.MonkeyPatch, reasons: list[str | None]) -> None:
    """A rank that knows of nothing stops with the one that does; the others would wait for it."""
    monkeypatch.setattr(
        "trainer.callbacks.control.first_of_ranks",
        lambda own: first_of_ranks(own, lambda _: reasons),
    )
    control, stop = TrainerControl(), StopFlag()
    StopCallback(stop).on_step_end(ARGS, TrainerState(), control)
    assert (stop.reason, control.should_training_stop) == (reasons[1], bool(reasons[1]))


@pytest.mark.parametrize(("others", "has_gradient"), [([True, True], False), ([True, False], True)])
def test_step_is_made_where_any_rank_has_a_reward(
    monkeypatch: pytest.MonkeyPatch, others: list[bool], has_gradient: bool
) -> None:
    """Gradients are the mean over the ranks: if one dropped them, the weights would part."""
    monkeypatch.setattr("trainer.callbacks.control.from_ranks", lambda _: others)
    layer = torch.nn.Linear(1, 1)
    layer(torch.ones(1)).sum().backward()
    stats = RunStats(FailureLimit(0.5, 4))
    stats.add(BatchCounts(items=1, invalid=Counter(), failed=Counter(["gone"])), [True])
    UnscoredStepCallback(stats).on_pre_optimizer_step(ARGS, TrainerState(), CONTROL, model=layer)
    assert (layer.weight.grad is not None) == has_gradient


@pytest.mark.parametrize(("others", "is_over"), [([False, False], False), ([False, True], True)])
def test_time_is_over_for_all(
    monkeypatch: pytest.MonkeyPatch, others: list[bool], is_over: bool
) -> None:
    """Clocks differ: the first rank whose time is over ends the run of all."""
    monkeypatch.setattr("trainer.callbacks.control.from_ranks", lambda _: others)
    control = TrainerControl()
    callback = TimeLimitCallback(10.0, clock=iter([0.0, 5.0]).__next__)
    state = TrainerState(global_step=1, max_steps=9)
    callback.on_train_begin(ARGS, state, control)
    callback.on_step_end(ARGS, state, control)
    assert control.should_training_stop == is_over


@pytest.mark.parametrize(
    ("step", "is_stopping"), [(1, False), (2, False), (3, True), (4, False), (6, True), (7, True)]
)
@pytest.mark.parametrize("name", ["stop", "time limit"])
def test_run_ends_with_its_completions(name: str, step: int, is_stopping: bool) -> None:
    """After the last step on them, or of all: a resumed run generates at its first step."""
    flag, control = StopFlag(), TrainerControl()
    flag.set("too many failures")
    callback: StopCallback | TimeLimitCallback = StopCallback(flag, steps_a_batch=3)
    if name == "time limit":
        callback = TimeLimitCallback(0.0, steps_a_batch=3)
    state = TrainerState(global_step=step, max_steps=7)
    callback.on_step_end(ARGS, state, control)
    is_last = name == "time limit" and step == 7  # ends anyway
    assert control.should_training_stop == (is_stopping and not is_last)
