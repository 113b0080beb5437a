"""Metrics as a file, and as a picture."""

from pathlib import Path

from trainer.plots import plot_rewards
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.reports import Course, RunFiles, TrainingReport
from trainer.runs.run_stats import FailureLimit, RunStats
from trainer.settings import StepSettings


def test_what_is_not_a_finite_number_is_left_out(tmp_path: Path) -> None:
    """A metric of a batch without rewards is NaN or None, and JSON has neither."""
    file = MetricsFile(tmp_path / "run" / "metrics.jsonl")
    file.begin(0)
    file.append(1, {"reward": 0.5, "kl": float("nan"), "other": None})
    assert read_metrics(tmp_path / "run" / "metrics.jsonl") == [{"step": 1, "reward": 0.5}]


def test_resuming_forgets_what_will_be_written_again(tmp_path: Path) -> None:
    """Lines up to the checkpoint stay; a new run starts empty."""
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.begin(0)
    for step in (1, 2, 3):
        file.append(step, {})
    file.begin(2)
    assert [line["step"] for line in read_metrics(path)] == [1, 2]
    file.begin(0)
    assert read_metrics(path) == []


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    """A run that was killed while writing can still be read."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "rew')
    assert read_metrics(path) == [{"step": 1}]


def test_picture_of_few_lines_or_none(tmp_path: Path) -> None:
    """A run that stopped at once has a picture, too."""
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for name in ("none.png", "one.png"):
        plot_rewards(tmp_path / "metrics.jsonl", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        file.append(1, {"reward": 0.1, "kl": 0.0})


def test_picture_of_a_curriculum_is_taller(tmp_path: Path) -> None:
    """It has a panel for the levels and one for the domains, below the others."""
    file = MetricsFile(tmp_path / "metrics.jsonl")
    heights = []
    for parts in ({}, {"reward_by_level/easy": 0.1, "reward_by_domain/net": 0.1}):
        file.begin(0)
        file.append(1, {"reward": 0.1, "kl": 0.0, **parts})
        plot_rewards(tmp_path / "metrics.jsonl", tmp_path / "plot.png")
        heights.append(int.from_bytes((tmp_path / "plot.png").read_bytes()[20:24], "big"))
    assert heights[1] == heights[0] * 13 // 9


def test_picture_of_regrets(tmp_path: Path) -> None:
    """Rows that carry outcomes give a panel more."""
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.begin(0)
    file.append(1, {"reward": 0.1, "outcomes/regret_veh": 1.5})
    plot_rewards(tmp_path / "metrics.jsonl", tmp_path / "plot.png")
    height = int.from_bytes((tmp_path / "plot.png").read_bytes()[20:24], "big")
    assert height == 11 * 130


def test_report_of_nothing(tmp_path: Path) -> None:
    """A run without steps has no pace and no rewards, and divides nothing by zero."""
    config = StepSettings(output_dir=str(tmp_path), save_merged=False)
    files = RunFiles.of(config, "rewards.png")
    report = TrainingReport.of(RunStats(FailureLimit(0.5, 4)), {}, files, Course(0, 0, 1.0))
    assert report.reward_wait_share is None
    assert (report.seconds_per_step, report.reward_last, report.invalid_share) == (None, None, 0)


def test_where_the_result_is(tmp_path: Path) -> None:
    """An adapter, with or without the merged model; or the whole model and nothing else."""
    places = [
        (files.adapter, files.merged, files.model)
        for rank, has_merged in ((8, True), (8, False), (0, True))
        for config in [
            StepSettings(output_dir=str(tmp_path), lora_rank=rank, save_merged=has_merged)
        ]
        if (files := RunFiles.of(config, "rewards.png"))
    ]
    assert places == [
        (tmp_path / "adapter", tmp_path / "merged", None),
        (tmp_path / "adapter", None, None),
        (None, None, tmp_path / "model"),
    ]
