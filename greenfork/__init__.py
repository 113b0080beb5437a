"""Exact rewards for traffic-signal decisions: the client, the words of a request, the trainer.

Importing this package is cheap; each name is imported when it is first used. The command is
:mod:`greenfork.main`, or ``python -m greenfork``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reward_client import (
        ClientOptions,
        JobClient,
        RetryPolicy,
        RewardClient,
        SyncRewardClient,
    )
    from shared.decisions import Cycle, Extend, NextPhase, Plan
    from shared.errors import GreenforkError
    from shared.language.completion_items import Situation
    from shared.rewards import RewardSpec
    from shared.wire.scoring import ScoreItem, ScoreResult
    from trainer import GRPOTrainingConfig, load_config, load_grpo_dataset, train_grpo

__all__ = [
    "ClientOptions",
    "Cycle",
    "Extend",
    "GRPOTrainingConfig",
    "GreenforkError",
    "JobClient",
    "NextPhase",
    "Plan",
    "RetryPolicy",
    "RewardClient",
    "RewardSpec",
    "ScoreItem",
    "ScoreResult",
    "Situation",
    "SyncRewardClient",
    "load_config",
    "load_grpo_dataset",
    "train_grpo",
]

_HOMES = {
    "reward_client": (
        *("ClientOptions", "JobClient", "RetryPolicy"),
        *("RewardClient", "SyncRewardClient"),
    ),
    "shared.decisions": ("Cycle", "Extend", "NextPhase", "Plan"),
    "shared.errors": ("GreenforkError",),
    "shared.language.completion_items": ("Situation",),
    "shared.rewards": ("RewardSpec",),
    "shared.wire.scoring": ("ScoreItem", "ScoreResult"),
    "trainer": ("GRPOTrainingConfig", "load_config", "load_grpo_dataset", "train_grpo"),
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for."""
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(home), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
