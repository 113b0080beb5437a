"""What a finished run hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.model import WireModel
from trainer.runs.run_stats import RunStats

__all__ = ["Course", "RunFiles", "TrainingReport"]

_ENDS = 5


class RunFiles(WireModel):
    """Where a run's results are."""

    adapter: Path | None
    """None where all weights were trained."""
    merged: Path | None
    """None where ``save_merged`` is off, or there is no adapter to merge."""
    model: Path | None
    """The whole model, where all weights were trained."""
    config: Path
    metrics: Path
    plot: Path

    @classmethod
    def under(cls, root: Path, has_adapter: bool, has_merged: bool) -> "RunFiles":
        """The files of a run with this ``output_dir``."""
        return cls(
            adapter=root / "adapter" if has_adapter else None,
            merged=root / "merged" if has_adapter and has_merged else None,
            model=None if has_adapter else root / "model",
            config=root / "config.yaml",
            metrics=root / "metrics.jsonl",
            plot=root / "rewards.png",
        )


@dataclass(frozen=True)
class Course:
    """How far a run went."""

    steps: int
    """Of the whole run."""
    new_steps: int
    """Those of this process."""
    seconds: float


class TrainingReport(WireModel):
    """A run in numbers, over the steps that this process trained."""

    steps: int
    """Optimizer steps of the whole run, those before a resume included."""
    seconds: float
    """Wall time of the training itself."""
    seconds_per_step: float | None
    completions: int
    reward_first: float | None
    """Mean weighted reward of the first five generation batches."""
    reward_last: float | None
    """The same of the last five."""
    invalid_share: float
    failed_share: float
    cached_share: float
    rollouts: int
    """Simulations that the service ran for this."""
    reward_seconds: float
    """Time that the service took."""
    reward_wait_share: float | None
    """Share of the steps' time in which the training stood still for rewards."""
    outages: int
    """How often the training paused because nothing answered."""
    hints: dict[str, int]
    """How often each trouble began; see :mod:`trainer.callbacks.health`."""
    files: RunFiles

    @classmethod
    def of(
        cls, stats: RunStats, hints: Mapping[str, int], files: RunFiles, course: Course
    ) -> "TrainingReport":
        """Sums up a run."""
        items = max(1, stats.items)
        return cls(
            steps=course.steps,
            seconds=course.seconds,
            seconds_per_step=course.seconds / course.new_steps if course.new_steps else None,
            completions=stats.items,
            reward_first=_mean(stats.rewards[:_ENDS]),
            reward_last=_mean(stats.rewards[-_ENDS:]),
            invalid_share=stats.invalid.total() / items,
            failed_share=stats.failed.total() / items,
            cached_share=stats.cached / items,
            rollouts=stats.rollouts,
            reward_seconds=stats.reward_seconds,
            reward_wait_share=stats.waited_share,
            outages=stats.outages,
            hints=dict(hints),
            files=files,
        )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
