"""What watches a run: who writes the metrics, how long rewards are waited for, and hints."""

from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from transformers import TrainerControl, TrainerState, TrainingArguments

from trainer.callbacks.health import HealthBounds, HealthWatch
from trainer.callbacks.metrics import STEP_MARKS, HealthCallback, MetricsCallback, TimingCallback
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.run_stats import FailureLimit, RunStats

ARGS = cast("TrainingArguments", None)
CONTROL = TrainerControl()


@pytest.mark.parametrize(("is_first", "lines"), [(True, 1), (False, 0)])
def test_one_rank_writes_the_metrics(tmp_path: Path, is_first: bool, lines: int) -> None:
    """Several would write every line several times."""
    file = tmp_path / "metrics.jsonl"
    callback = MetricsCallback(MetricsFile(file), "reward")
    state = TrainerState(is_world_process_zero=is_first)
    callback.on_train_begin(ARGS, state, CONTROL)
    callback.on_log(ARGS, state, CONTROL, logs={"reward": 1.0})
    assert len(read_metrics(file)) == lines


def test_steps_without_new_rewards_are_written(tmp_path: Path) -> None:
    """The later ones on the same completions, where the ratio leaves 1; the summary is not."""
    file = tmp_path / "metrics.jsonl"
    callback = MetricsCallback(MetricsFile(file), *STEP_MARKS)
    lines = ({"reward": 1.0, "loss": 0.1}, {"loss": 0.2, "kl": 0.3}, {"train_loss": 0.2})
    for step, line in enumerate(lines, start=1):
        state = TrainerState(global_step=step)
        callback.on_log(ARGS, state, CONTROL, logs=dict(line))
    assert [line["step"] for line in read_metrics(file)] == [1, 2]


def test_drift_is_seen_where_there_are_no_new_rewards() -> None:
    """Half of the steps on the same completions are without; their KL counts."""
    watch = HealthWatch(HealthBounds(window=2, kl=1.0))
    callback = HealthCallback(watch)
    for step, line in enumerate(({"reward": 0.0, "kl": 0.5}, {"loss": 0.1, "kl": 9.0}), start=1):
        state = TrainerState(global_step=step, is_world_process_zero=False)
        callback.on_log(ARGS, state, CONTROL, logs=dict(line))
    assert watch.episodes == {"kl": 1}


def test_share_of_waiting() -> None:
    """Since the line before, over whole steps, with their time; no line without rewards has it."""
    stats = RunStats(FailureLimit(0.5, 4))
    callback = TimingCallback(stats, clock=iter([0.0, 10.0, 10.0, 14.0]).__next__)
    shares = []
    for waited_s in (2.0, 1.0):
        callback.on_step_begin(ARGS, TrainerState(), CONTROL)
        stats.waited(waited_s)
        callback.on_step_end(ARGS, TrainerState(), CONTROL)
        logs: dict[str, Any] = {"reward": 0.0}
        callback.on_log(ARGS, TrainerState(), CONTROL, logs=logs)
        shares.append((logs["reward_service/waited_share"], logs["step_seconds"]))
    summary = {"train_loss": 0.0}
    callback.on_log(ARGS, TrainerState(), CONTROL, logs=cast("dict[str, Any]", summary))
    assert shares == [(0.2, 10.0), (0.25, 4.0)]
    assert summary == {"train_loss": 0.0}
    assert stats.waited_share == 3 / 14


@pytest.mark.parametrize(("is_first", "said"), [(True, 1), (False, 0)])
def test_trouble_is_said_once(is_first: bool, said: int) -> None:
    """By one rank, when it begins; all of them count it."""
    watch = HealthWatch(HealthBounds(window=1))
    callback = HealthCallback(watch)
    state = TrainerState(is_world_process_zero=is_first)
    with capture_logs() as lines:
        for step in (1, 2):
            state.global_step = step
            callback.on_log(ARGS, state, CONTROL, logs={"reward": 0.0, "outcomes/yes": 1.0})
    assert [line["trouble"] for line in lines] == ["one_answer"] * said
    assert watch.episodes == {"one_answer": 1}


@pytest.mark.parametrize(("is_first", "noted"), [(True, ["one_answer"]), (False, [])])
def test_trouble_is_written_down(tmp_path: Path, is_first: bool, noted: list[str]) -> None:
    """For the report; a resumed run drops what it will find again, a new one all of it."""
    path = tmp_path / "hints.jsonl"
    path.write_text('{"step": 1, "hint": "of an earlier run"}\n')
    callback = HealthCallback(HealthWatch(HealthBounds(window=1)), path)
    state = TrainerState(is_world_process_zero=is_first)
    callback.on_train_begin(ARGS, state, CONTROL)
    state.global_step = 3
    callback.on_log(ARGS, state, CONTROL, logs={"reward": 0.0, "outcomes/yes": 1.0})
    assert [one.get("trouble") for one in read_metrics(path) if one["step"] == 3] == noted
    for step, kept in ((3, len(noted)), (2, 0)) if is_first else ():
        state.global_step = step
        callback.on_train_begin(ARGS, state, CONTROL)
        assert len(read_metrics(path)) == kept
