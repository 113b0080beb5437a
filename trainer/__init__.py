"""Training language models through a reward URL. Speaks HTTP only: knows no SUMO and no Ray.

Importing this package is cheap; what needs torch is imported when it is first used.
"""

from typing import TYPE_CHECKING

from shared.language.prompts import SYSTEM_PROMPT
from trainer.curriculum import get_curriculum_weights
from trainer.grpo.config import GRPOTrainingConfig, load_config
from trainer.lazy import lazy_names

if TYPE_CHECKING:
    from trainer.command import main, parse_args
    from trainer.data.prompts import load_grpo_dataset
    from trainer.grpo.run import train_grpo
    from trainer.pointer.dataset import BeamDataset
    from trainer.runs.reports import TrainingReport

__all__ = [
    "SYSTEM_PROMPT",
    "BeamDataset",
    "GRPOTrainingConfig",
    "TrainingReport",
    "get_curriculum_weights",
    "load_config",
    "load_grpo_dataset",
    "main",
    "parse_args",
    "train_grpo",
]

__getattr__ = lazy_names(
    __name__,
    {
        "BeamDataset": "trainer.pointer.dataset",
        "TrainingReport": "trainer.runs.reports",
        "load_grpo_dataset": "trainer.data.prompts",
        "main": "trainer.command",
        "parse_args": "trainer.command",
        "train_grpo": "trainer.grpo.run",
    },
)
