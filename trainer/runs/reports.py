"""What a finished run hands back: where its files are, and the run in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.model import WireModel
from trainer.runs.run_stats import RunStats
from trainer.settings import RunSettings

__all__ = [
    "AdvantageSpread",
    "Course",
    "FormCheck",
    "OfflineFiles",
    "OfflineReport",
    "RunFiles",
    "SFTReport",
    "TrainingReport",
    "Validation",
]

_ENDS = 5


class RunFiles(WireModel):
    """Where a run's results are."""

    model: Path | None
    """The whole model, where all weights were trained."""
    adapter: Path | None
    """The adapter, where one was."""
    merged: Path | None
    """The model with the adapter merged into it; None where ``save_merged`` is off."""
    config: Path
    metrics: Path
    plot: Path

    @classmethod
    def of(cls, config: RunSettings, plot: str) -> Self:
        """The files of a run with these settings.

        Args:
            config: Runs without ``save_merged`` always merge their adapter.
            plot: The name of the plot.
        """
        root, has_adapter = Path(config.output_dir), config.lora_rank > 0
        has_merged = has_adapter and getattr(config, "save_merged", True)
        return cls(
            model=None if has_adapter else root / "model",
            adapter=root / "adapter" if has_adapter else None,
            merged=root / "merged" if has_merged else None,
            config=root / "config.yaml",
            metrics=root / "metrics.jsonl",
            plot=root / plot,
        )

    @property
    def trained(self) -> Path:
        """What to train further or to evaluate."""
        found = self.model or self.adapter
        assert found is not None  # noqa: S101 - one of them is always there
        return found


class OfflineFiles(RunFiles):
    """Where the results of an offline run are."""

    best_checkpoint: Path | None = None
    """Of stage 2, by ``best_by``; None without validation or without stage 2."""


@dataclass(frozen=True)
class Course:
    """How far a run went."""

    steps: int
    """Of the whole run."""
    new_steps: int
    """Those of this process."""
    seconds: float

    @property
    def seconds_per_step(self) -> float | None:
        """None where this process made no step."""
        return self.seconds / self.new_steps if self.new_steps > 0 else None


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
            seconds_per_step=course.seconds_per_step,
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


class FormCheck(WireModel):
    """Greedy answers to prompts of rows that were not trained on."""

    rows: int
    strict_share: float
    """Answers that are the JSON that was asked for and nothing else."""
    invalid: dict[str, int]
    """Answers that no legal decision can be read from, by code."""
    agreement: float | None
    """Share of answers that no known decision is better than; None without outcomes."""
    yes_share: float | None
    """Of *extend* decisions."""

    @property
    def invalid_share(self) -> float:
        """Answers that no decision can be read from."""
        return sum(self.invalid.values()) / self.rows


class SFTReport(WireModel):
    """A run in numbers."""

    lessons: dict[str, int]
    """By source."""
    parameters: int
    """Of the whole model."""
    trained_parameters: int
    steps: int
    """Optimizer steps of the whole run, those before a resume included."""
    seconds: float
    """Wall time of the training itself."""
    seconds_per_step: float | None
    loss_first: float | None
    """Mean cross-entropy of an answer's token, nats, of the first logged steps."""
    loss_last: float | None
    """The same of the last ones."""
    check: FormCheck | None
    """None where ``check_rows`` is 0 or there was no row to spare."""
    files: RunFiles


class Validation(WireModel):
    """What the model would choose among the candidates of the validation queries."""

    queries: int
    regret: float
    """Mean of the best score minus the likeliest candidate's, in the unit of the scores."""
    agreement: float
    """Share of the queries whose likeliest candidate has the best score."""


class AdvantageSpread(WireModel):
    """How the advantages of all training candidates are spread, in standard deviations."""

    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    greatest: float
    zero_share: float
    """Candidates that teach nothing, because their group does not differ."""


class OfflineReport(WireModel):
    """A run in numbers."""

    queries: int
    """Trained on."""
    candidates: int
    """Of these queries."""
    advantages: AdvantageSpread
    rce_steps: int
    """Optimizer steps of stage 1, those before a resume included."""
    grpo_steps: int
    """The same of stage 2."""
    seconds: float
    """Wall time of both stages."""
    before: Validation | None
    """Of the model that the run started from; None where nothing is validated."""
    after: Validation | None
    """Of the result."""
    kl: float | None
    """The last one logged in stage 2."""
    kl_coeff: float | None
    """Weight of the KL term at the end."""
    files: OfflineFiles


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
