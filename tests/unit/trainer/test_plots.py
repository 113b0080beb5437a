"""A run becomes a picture, however little of it there is."""

from pathlib import Path

import pytest

from trainer.plots import plot_offline
from trainer.runs.history import MetricsFile


@pytest.mark.parametrize("stages", [(), (1,), (2,), (1, 2)])
def test_any_part_of_a_run_is_drawn(tmp_path: Path, stages: tuple[int, ...]) -> None:
    """One stage alone, both, and a run that was ended before its first line."""
    metrics = tmp_path / "metrics.jsonl"
    for stage in stages:
        file = MetricsFile(metrics, 10 * stage, stage)
        file.append(1, {"loss": 1.0, "policy_loss": 0.5, "kl": 0.1})
        file.append(2, {"eval_loss": 1.0, "eval_regret": 0.5})
    plot_offline(metrics, [[-1.0, 1.0]], tmp_path / "offline.png")
    assert (tmp_path / "offline.png").read_bytes().startswith(b"\x89PNG")


def test_stages_count_their_steps_through(tmp_path: Path) -> None:
    """A second stage that begins again forgets its own lines, not those of the first."""
    from trainer.runs.history import read_metrics

    metrics = tmp_path / "metrics.jsonl"
    first, second = MetricsFile(metrics, 0, 1), MetricsFile(metrics, 2, 2)
    first.begin(0)
    first.append(1, {"loss": 3.0})
    first.append(2, {"loss": 2.0})
    second.begin(0)
    second.append(1, {"loss": 1.0})
    second.begin(0)
    second.append(1, {"loss": 0.5})
    found = [(line["step"], line["stage"], line["loss"]) for line in read_metrics(metrics)]
    assert found == [(1, 1, 3.0), (2, 1, 2.0), (3, 2, 0.5)]
