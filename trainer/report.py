"""What a finished run hands back."""

from pathlib import Path

from shared.model import WireModel
from trainer.tally import Tally

__all__ = ["RunFiles", "TrainingReport"]

_ENDS = 5


class RunFiles(WireModel):
    """Where a run's results are."""

    adapter: Path
    merged: Path | None
    """None where ``save_merged`` is off."""
    config: Path
    metrics: Path
    plot: Path

    @classmethod
    def under(cls, root: Path, has_merged: bool) -> "RunFiles":
        """The files of a run with this ``output_dir``."""
        return cls(
            adapter=root / "adapter",
            merged=root / "merged" if has_merged else None,
            config=root / "config.yaml",
            metrics=root / "metrics.jsonl",
            plot=root / "rewards.png",
        )


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
    """Time spent waiting for the service."""
    files: RunFiles

    @classmethod
    def of(
        cls, tally: Tally, files: RunFiles, steps: int, new_steps: int, seconds: float
    ) -> "TrainingReport":
        """Sums up a run."""
        items = max(1, tally.items)
        return cls(
            steps=steps,
            seconds=seconds,
            seconds_per_step=seconds / new_steps if new_steps else None,
            completions=tally.items,
            reward_first=_mean(tally.rewards[:_ENDS]),
            reward_last=_mean(tally.rewards[-_ENDS:]),
            invalid_share=tally.invalid.total() / items,
            failed_share=tally.failed.total() / items,
            cached_share=tally.cached / items,
            rollouts=tally.rollouts,
            reward_seconds=tally.reward_seconds,
            files=files,
        )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
