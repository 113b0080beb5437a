"""The control experiment: a run whose rewards are dealt out at random learns nothing of traffic.

Whatever such a run reaches comes from the format reward and from chance, not from the simulation.
"""

import random
from collections.abc import Sequence

__all__ = ["shuffled"]


def shuffled(rewards: Sequence[float | None], seed: object) -> list[float | None]:
    """The rewards of a batch, dealt out among those of its completions that have one.

    Args:
        rewards: Of each completion; None where there is none, and none it stays.
        seed: What decides the deal; the same for the same seed.

    >>> shuffled([1.0, None, 2.0, 3.0], seed=1)
    [1.0, None, 3.0, 2.0]
    """
    present = [reward for reward in rewards if reward is not None]
    random.Random(str(seed)).shuffle(present)  # noqa: S311 - no secret
    dealt = iter(present)
    return [None if reward is None else next(dealt) for reward in rewards]
