"""Saves a checkpoint of the state before a step that could not be made.

Weights, optimizer and schedule are unchanged, but the completions of the step have already been
sampled. The random number generators are reset, so that a resumed run samples the same ones.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, State
from trainer.runs.checkpoints import flaw_of

if TYPE_CHECKING:
    from torch import Tensor
    from trl import GRPOTrainer

__all__ = ["RewindCallback"]


@dataclass(frozen=True)
class _Generators:
    """The states of all random number generators used in training."""

    python: Any
    numpy: Any
    torch: "Tensor"
    cuda: "list[Tensor]"

    @classmethod
    def now(cls) -> "_Generators":
        """The current states."""
        import numpy as np
        import torch

        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        numpy_state = np.random.get_state()
        return cls(random.getstate(), numpy_state, torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Restores these states."""
        import numpy as np
        import torch

        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


class RewindCallback(TrainerCallback):
    """Remembers the random state after each step, when a checkpoint could be saved."""

    def __init__(self) -> None:
        self._generators: _Generators | None = None
        self._is_saved = False
        """Whether the step already has a checkpoint."""

    def on_save(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Notes that there is a checkpoint."""
        self._is_saved = True

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Stores the states."""
        self._generators = _Generators.now()
        self._is_saved = False

    def save(self, trainer: "GRPOTrainer") -> Path | None:
        """Saves a checkpoint of the last completed step; all ranks must call this.

        Returns:
            Its folder; None if this process made no step, so that its start is still valid.
        """
        if self._generators is None:
            return None
        folder = Path(trainer.args.output_dir) / f"checkpoint-{trainer.state.global_step}"
        if self._is_saved and flaw_of(folder) is None:
            return folder
        self._generators.restore()
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        return folder
