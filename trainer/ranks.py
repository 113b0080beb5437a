"""Agreement between the processes (ranks) of one run; it also works with a single process.

All ranks must call each function here at the same point; it waits for all of them.
"""

from collections.abc import Callable
from typing import TypeVar, cast

__all__ = ["first_of_ranks", "from_ranks"]

_Value = TypeVar("_Value")


def from_ranks(value: _Value) -> list[_Value]:
    """The values of all ranks, in rank order.

    >>> from_ranks("alone")
    ['alone']
    """
    import torch.distributed as ranks

    if not ranks.is_available() or not ranks.is_initialized():
        return [value]
    found: list[_Value | None] = [None] * ranks.get_world_size()
    ranks.all_gather_object(found, value)
    return cast("list[_Value]", found)


def first_of_ranks(
    reason: str | None, gather: Callable[[str | None], list[str | None]] = from_ranks
) -> str | None:
    """The reason given by the first rank that has one; None if no rank does.

    >>> first_of_ranks(None, lambda reason: [reason, "it is gone"])
    'it is gone'
    """
    return next((one for one in gather(reason) if one is not None), None)
