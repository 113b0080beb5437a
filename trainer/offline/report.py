"""What a finished offline run hands back."""

from pathlib import Path

from shared.model import WireModel

__all__ = ["AdvantageSpread", "OfflineFiles", "OfflineReport", "Validation"]


class OfflineFiles(WireModel):
    """Where a run's results are."""

    model: Path | None
    """The whole model, where all weights were trained."""
    adapter: Path | None
    """The adapter, where one was."""
    merged: Path | None
    """The model with the adapter merged into it."""
    best_checkpoint: Path | None
    """Of stage 2, by ``best_by``; None without validation or without stage 2."""
    config: Path
    metrics: Path
    plot: Path

    @classmethod
    def under(cls, root: Path, has_adapter: bool) -> "OfflineFiles":
        """The files of a run with this ``output_dir``."""
        return cls(
            model=None if has_adapter else root / "model",
            adapter=root / "adapter" if has_adapter else None,
            merged=root / "merged" if has_adapter else None,
            best_checkpoint=None,
            config=root / "config.yaml",
            metrics=root / "metrics.jsonl",
            plot=root / "offline.png",
        )


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
