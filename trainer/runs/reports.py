"""The report of a finished run: where its files are, and its key figures."""

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
    """The files of a run."""

    model: Path | None
    """The full model, if all weights were trained."""
    adapter: Path | None
    """The adapter, if one was trained."""
    merged: Path | None
    """The model with the adapter merged into it; None if ``save_merged`` is off."""
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
        """The folder to train further or to evaluate."""
        found = self.model or self.adapter
        assert found is not None  # noqa: S101 - one of them is always there
        return found


class OfflineFiles(RunFiles):
    """The files of an offline run."""

    best_checkpoint: Path | None = None
    """The best one of stage 2 by ``best_by``, saved as the result; None without validation or
    stage 2."""
    last: Path | None = None
    """The model or adapter after the last step, where another is the best."""


@dataclass(frozen=True)
class Course:
    """How far a run went."""

    steps: int
    """Steps of the whole run."""
    new_steps: int
    """Steps made by this process."""
    seconds: float

    @property
    def seconds_per_step(self) -> float | None:
        """None if this process made no step."""
        return self.seconds / self.new_steps if self.new_steps > 0 else None


class TrainingReport(WireModel):
    """The key figures of a run, over the steps made by this process."""

    steps: int
    """Optimizer steps of the whole run, those before a resume included."""
    seconds: float
    """Wall time of the training itself."""
    seconds_per_step: float | None
    completions: int
    reward_first: float | None
    """Mean weighted reward of the first five generation batches."""
    reward_last: float | None
    """The same for the last five."""
    invalid_share: float
    failed_share: float
    cached_share: float
    rollouts: int
    """Simulations that the service ran."""
    reward_seconds: float
    """Time spent by the service."""
    reward_wait_share: float | None
    """Share of the step time spent waiting for rewards."""
    outages: int
    """How often the training paused because the service did not answer."""
    hints: dict[str, int]
    """How often each problem began; see :mod:`trainer.callbacks.health`."""
    files: RunFiles

    @classmethod
    def of(
        cls, stats: RunStats, hints: Mapping[str, int], files: RunFiles, course: Course
    ) -> "TrainingReport":
        """Summarises a run."""
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
    """Greedy answers to the prompts of rows that were not trained on."""

    rows: int
    strict_share: float
    """Answers that are exactly the requested JSON."""
    invalid: dict[str, int]
    """Answers without a legal decision, by error code."""
    agreement: float | None
    """Share of answers with the best known decision; None without outcomes."""
    yes_share: float | None
    """Share of *yes* among *extend* decisions."""

    @property
    def invalid_share(self) -> float:
        """Share of answers without a legal decision."""
        return sum(self.invalid.values()) / self.rows


class SFTReport(WireModel):
    """The key figures of a supervised run."""

    lessons: dict[str, int]
    """Number of lessons by source."""
    parameters: int
    """Parameters of the whole model."""
    trained_parameters: int
    steps: int
    """Optimizer steps of the whole run, those before a resume included."""
    seconds: float
    """Wall time of the training itself."""
    seconds_per_step: float | None
    loss_first: float | None
    """Mean cross-entropy per answer token, nats, over the first logged steps."""
    loss_last: float | None
    """The same over the last logged steps."""
    check: FormCheck | None
    """None if ``check_rows`` is 0 or no row could be held out."""
    files: RunFiles


class Validation(WireModel):
    """How well the model ranks the candidates of the validation queries."""

    queries: int
    regret: float
    """Mean of the best score minus the score of the likeliest candidate, in score units."""
    agreement: float
    """Share of the queries whose likeliest candidate has the best score."""


class AdvantageSpread(WireModel):
    """Distribution of the advantages of all training candidates, in standard deviations."""

    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    greatest: float
    zero_share: float
    """Share of candidates that teach nothing because all of their group are equal."""


class OfflineReport(WireModel):
    """The key figures of an offline run."""

    queries: int
    """Training queries."""
    candidates: int
    """Candidates of these queries."""
    advantages: AdvantageSpread
    rce_steps: int
    """Optimizer steps of stage 1, those before a resume included."""
    grpo_steps: int
    """The same for stage 2."""
    seconds: float
    """Wall time of both stages."""
    before: Validation | None
    """Validation of the starting model; None without validation."""
    after: Validation | None
    """Validation of the result."""
    kl: float | None
    """The last value logged in stage 2."""
    kl_coeff: float | None
    """Final weight of the KL term."""
    temperature: float | None = None
    """Final temperature of stage 2."""
    sft_steps: int = 0
    """Optimizer steps of the supervised stage of a pointer."""
    files: OfflineFiles


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
