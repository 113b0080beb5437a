"""What a finished supervised run hands back."""

from pathlib import Path

from shared.model import WireModel

__all__ = ["FormCheck", "SFTFiles", "SFTReport"]


class SFTFiles(WireModel):
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
    def under(cls, root: Path, has_adapter: bool, has_merged: bool) -> "SFTFiles":
        """The files of a run with this ``output_dir``."""
        return cls(
            model=None if has_adapter else root / "model",
            adapter=root / "adapter" if has_adapter else None,
            merged=root / "merged" if has_adapter and has_merged else None,
            config=root / "config.yaml",
            metrics=root / "metrics.jsonl",
            plot=root / "loss.png",
        )

    @property
    def trained(self) -> Path:
        """What to train further or to evaluate."""
        found = self.model or self.adapter
        assert found is not None  # noqa: S101 - one of them is always there
        return found


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
    files: SFTFiles
