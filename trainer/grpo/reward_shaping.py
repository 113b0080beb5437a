"""Adjusts the rewards of a batch before a model learns from them.

An invalid answer has no natural reward if rewards have no lower bound: a fixed number is too good
compared with queues of thirty vehicles, or so bad that one invalid answer outweighs all differences
within its group. The worst reward of the group avoids both.

Shuffled rewards are the control experiment: such a run learns nothing about traffic. Any
improvement comes from the format reward and chance, not from the simulation.
"""

import random
from collections.abc import Sequence

__all__ = ["as_the_worst", "shuffled"]


def as_the_worst(
    rewards: Sequence[float | None],
    is_invalid: Sequence[bool],
    groups: Sequence[int],
    otherwise: float,
) -> list[float | None]:
    """Replaces the rewards of invalid answers by the lowest valid reward of their group.

    If no valid answer of its group has a reward, an invalid one gets the lowest of the batch. All
    rewards of such a group are equal, so that it teaches nothing; and the mean reward of a model
    that loses the format does not rise.

    Args:
        rewards: Of each completion; None if it failed, which it remains.
        is_invalid: Whether each has no legal decision.
        groups: The group of each completion.
        otherwise: The reward of invalid answers if no valid one of the batch has a reward.

    >>> as_the_worst([-4.0, -1.0, -9.0, None], [False, True, False, False], [0, 0, 0, 0], -1.0)
    [-4.0, -9.0, -9.0, None]
    """
    worst: dict[int, float] = {}
    for reward, invalid, group in zip(rewards, is_invalid, groups, strict=True):
        if reward is not None and not invalid:
            worst[group] = min(reward, worst.get(group, reward))
    least = min(worst.values(), default=otherwise)
    return [
        worst.get(group, least) if invalid else reward
        for reward, invalid, group in zip(rewards, is_invalid, groups, strict=True)
    ]


def shuffled(
    rewards: Sequence[float | None], groups: Sequence[int], seed: str
) -> list[float | None]:
    """Shuffles the rewards within each group, among completions that have one.

    Args:
        rewards: Of each completion; None if there is none, which remains.
        groups: The group of each completion.
        seed: Seed of the shuffle.

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
