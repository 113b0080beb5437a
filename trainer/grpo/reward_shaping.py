"""What becomes of the rewards of a batch before a model learns from them.

An answer that no decision can be read from has no natural worth where rewards have no lower bound:
a fixed number is too good beside queues of thirty vehicles, or so bad that one unreadable answer
outweighs all that the others of its group differ by. As bad as the worst of them is neither.

Rewards dealt out at random are the control experiment: such a run learns nothing of traffic.
Whatever it reaches comes from the format reward and from chance, not from the simulation.
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
    """The rewards, with those of invalid answers replaced by the least valid one of their group.

    Where no valid one of its group has a reward, an invalid one gets the least of the whole batch:
    all of such a group are the same, so that it teaches nothing either way, and neither lifts the
    mean reward of a model that loses the form nor stands out of the batch.

    Args:
        rewards: Of each completion; None where it failed, and none it stays.
        is_invalid: Whether no legal decision could be read from it.
        groups: The group of each completion.
        otherwise: What an invalid one gets where no valid one of the batch has a reward.

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
