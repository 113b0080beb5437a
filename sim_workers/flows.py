"""Who work is done for, when there is more of it than workers."""

from dataclasses import dataclass

__all__ = ["Flow"]


@dataclass(frozen=True)
class Flow:
    """A stream of work that gets its share of the workers, whatever others send.

    Flows that have work waiting get workers in proportion to their weights; a flow that is alone
    gets them all.
    """

    name: str
    """Equal for work that shares one share: a caller's name, and whether it is a bulk job."""
    weight: float = 1.0
    """More than 0."""
