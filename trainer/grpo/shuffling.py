"""The control experiment: a run whose rewards are dealt out at random learns nothing of traffic.

Each group keeps its own rewards, and only which answer earned which is lost. Whatever such a run
reaches comes from the format reward and from chance, not from the simulation.
"""

import random
from collections.abc import Sequence

__all__ = ["shuffled"]


def shuffled(
    rewards: Sequence[float | None], groups: Sequence[int], seed: str
) -> list[float | None]:
    """The rewards of each group, dealt out among those of its completions that have one.

    Args:
        rewards: Of each completion; None where there is none, and none it stays.
        groups: The group of each completion.
        seed: What decides the deal; the same for the same seed.

    >>> shuffled([1.0, None, 2.0, 3.0, 9.0], [0, 0, 0, 0, 1], "1")
    [2.0, None, 3.0, 1.0, 9.0]
    """
    dealer = random.Random(seed)  # noqa: S311 - no secret
    hands: dict[int, list[float]] = {}
    for reward, group in zip(rewards, groups, strict=True):
        if reward is not None:
            hands.setdefault(group, []).append(reward)
    for hand in hands.values():
        dealer.shuffle(hand)
    return [
        None if reward is None else hands[group].pop()
        for reward, group in zip(rewards, groups, strict=True)
    ]
