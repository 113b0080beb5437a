"""Training language models through a reward URL. Speaks HTTP only: knows no SUMO and no Ray.

Importing this package is cheap; what needs torch is imported when it is first used.
"""

from typing import TYPE_CHECKING

from trainer.grpo.config import GRPOTrainingConfig, load_config
from trainer.lazy import lazy_names

if TYPE_CHECKING:
    from trainer.data.prompts import load_grpo_dataset
    from trainer.grpo.run import train_grpo
    from trainer.runs.reports import TrainingReport

__all__ = [
    "GRPOTrainingConfig",
    "TrainingReport",
    "load_config",
    "load_grpo_dataset",
    "train_grpo",
]

__getattr__ = lazy_names(
    __name__,
    {
        "TrainingReport": "trainer.runs.reports",
        "load_grpo_dataset": "trainer.data.prompts",
        "train_grpo": "trainer.grpo.run",
    },
)
