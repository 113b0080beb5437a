"""Post-training from scored candidates, in two stages: no simulation, no service, no generation.

Stage 1 imitates candidates, the better ones more (reward-weighted cross-entropy); stage 2 raises
and lowers their probabilities against stored ones (offline GRPO). Importing this package is cheap.
"""

from trainer.offline.advantages import (
    clip_advantages,
    compute_softmax_weights,
    normalize_rewards_zscore,
)

__all__ = [
    "clip_advantages",
    "compute_softmax_weights",
    "normalize_rewards_zscore",
]
