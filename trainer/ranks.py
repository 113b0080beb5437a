"""What the processes of one run have to agree about. One process agrees with itself.

Every function here is to be called by all ranks at the same point, and waits
for all of them.
"""

from collections.abc import Callable
from typing import TypeVar, cast

__all__ = ["first_of_ranks", "from_ranks"]

_Value = TypeVar("_Value")


def from_ranks(value: _Value) -> list[_Value]:
    """The value of every rank, in their order.

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
    """The reason that the first rank with one gives; None where nobody has any.

    >>> first_of_ranks(None, lambda reason: [reason, "it is gone"])
    'it is gone'
    """
    return next((one for one in gather(reason) if one is not None), None)
