"""Post-training from scored candidates, in two stages: no simulation, no service, no generation.

Stage 1 imitates candidates, the better ones more (reward-weighted cross-entropy); stage 2 raises
and lowers their probabilities against stored ones (offline GRPO). Importing this package is cheap;
what needs torch is imported when it is first used.
"""

from typing import TYPE_CHECKING

from trainer.lazy import lazy_names
from trainer.offline.advantages import (
    clip_advantages,
    compute_softmax_weights,
    normalize_rewards_zscore,
)
from trainer.offline.config import OfflineConfig

if TYPE_CHECKING:
    from trainer.offline.run import train_offline
    from trainer.pointer.dataset import BeamDataset

__all__ = [
    "BeamDataset",
    "OfflineConfig",
    "clip_advantages",
    "compute_softmax_weights",
    "normalize_rewards_zscore",
    "train_offline",
]

__getattr__ = lazy_names(
    __name__,
    {"BeamDataset": "trainer.pointer.dataset", "train_offline": "trainer.offline.run"},
)
