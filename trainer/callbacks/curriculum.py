"""What a curriculum says on the console: the weights of its levels."""

from rich.console import Console
from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.curriculum.batches import Curriculum
from trainer.curriculum.buckets import LEVELS, Level

__all__ = ["CurriculumCallback"]


class CurriculumCallback(TrainerCallback):
    """Prints the weights at every change and each logging step.

    Args:
        curriculum: Of the run.
        console: The console to write to.
    """

    def __init__(self, curriculum: Curriculum, console: Console) -> None:
        self._curriculum = curriculum
        self._console = console
        self._weights: dict[Level, float] | None = None

    def on_step_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Prints them if they are others than in the step before."""
        weights = self._curriculum.weights(state.global_step)
        if weights != self._weights:
            self._weights = weights
            self._show(state, weights)

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Prints those of the steps that a line of metrics is about."""
        if logs and "loss" in logs and self._weights is not None:
            self._show(state, self._weights)

    def _show(self, state: State, weights: dict[Level, float]) -> None:
        said = " ".join(f"{level} {weights[level] * 100:.0f} %" for level in LEVELS)
        line = f"step {state.global_step}/{state.max_steps}: curriculum {said}"
        self._console.print(line, highlight=False, soft_wrap=True)
