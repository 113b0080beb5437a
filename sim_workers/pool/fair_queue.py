"""Who work is done for, and whose turn it is when there is more of it than workers.

Start-time fair queueing, with a batch of rollouts in place of a packet: P. Goyal, H. M. Vin and
H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Generic, TypeVar

__all__ = ["Flow", "FlowLoad", "FlowQueue", "PoolStats"]

_Item = TypeVar("_Item")


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
    is_bulk: bool = False
    """Whether it goes through much work once, so that what it asks for is seldom asked again."""
    is_urgent: bool = False
    """Whether it goes before all that waits, as a probe of the service must."""


@dataclass(frozen=True)
class FlowLoad:
    """What one flow has at the workers."""

    name: str
    weight: float
    queued: int
    running: int
    done: int
    """Rollouts, since the start."""


@dataclass(frozen=True)
class PoolStats:
    """A glance at the pool."""

    workers: int
    """Those that are alive."""
    busy: int
    queued: int
    """Rollouts that wait for a worker."""
    oldest_s: float
    """Seconds for which the oldest of them has been waiting; 0 where none waits."""
    holder_starts: int
    """Processes that restored a state, since the start."""
    workers_lost: int
    """Workers that died, since the start."""
    retried: int
    """Rollouts sent again because their worker was lost, since the start."""
    flows: tuple[FlowLoad, ...] = ()
    """Those that have something now, or had something done, in the order of their names."""


class FlowQueue(Generic[_Item]):
    """Items of work in groups of equal keys, handed out a batch of one group at a time.

    The flow that has got the least for its weight comes first; within a flow, groups come in the
    order of their first item. What is urgent comes before all.

    Args:
        cost: How much work an item is.
    """

    def __init__(self, cost: Callable[[_Item], float] = lambda item: 1.0) -> None:
        self._cost = cost
        self._groups: dict[Flow, OrderedDict[str, list[_Item]]] = {}
        self._urgent: list[tuple[str, _Item]] = []
        self._now = 0.0
        self._tags: dict[Flow, float] = {}
        """When a flow's next batch is due, in work done a unit of weight. Also of flows that have
        nothing waiting, until the others have caught up with them."""

    def __len__(self) -> int:
        return len(self._urgent) + sum(
            len(group) for groups in self._groups.values() for group in groups.values()
        )

    def __iter__(self) -> Iterator[_Item]:
        yield from (item for _, item in self._urgent)
        for groups in self._groups.values():
            for group in groups.values():
                yield from group

    def put(self, flow: Flow, key: str, item: _Item) -> None:
        """Adds an item at the end of its group; one that is urgent goes before everything else."""
        if flow.is_urgent:
            self._urgent.append((key, item))
        else:
            self._groups.setdefault(flow, OrderedDict()).setdefault(key, []).append(item)

    def remove(self, flow: Flow, key: str, item: _Item) -> bool:
        """Takes an item out; False where it does not wait (any more)."""
        if (key, item) in self._urgent:
            self._urgent.remove((key, item))
            return True
        group = self._groups[flow].get(key, []) if flow in self._groups else []
        if item not in group:
            return False
        group.remove(item)
        self._drop_if_empty(flow, key)
        return True

    def take(
        self, limit: float, fits: Callable[[str], bool] = lambda key: True
    ) -> tuple[str, list[_Item]] | None:
        """The next batch and its key; None where nothing waits that fits.

        Args:
            limit: The work that a batch may be; an item that is more is a batch of its own.
            fits: Whether a group can be worked on now; others keep their place. Not asked for what
                is urgent.
        """
        if self._urgent:
            key, item = self._urgent.pop(0)
            return key, [item]
        ready = {flow: next(filter(fits, groups), None) for flow, groups in self._groups.items()}
        flow = min((f for f, key in ready.items() if key is not None), key=self._due, default=None)
        if flow is None:
            return None
        key = ready[flow] or ""
        group = self._groups[flow][key]
        totals = accumulate(map(self._cost, group))
        size = max(1, sum(1 for _ in takewhile(lambda total: total <= limit, totals)))
        batch, group[:] = group[:size], group[size:]
        self._now = self._due(flow)
        self._tags[flow] = self._now + sum(map(self._cost, batch)) / flow.weight
        self._tags = {flow: tag for flow, tag in self._tags.items() if tag > self._now}
        self._drop_if_empty(flow, key)
        return key, batch

    def _due(self, flow: Flow) -> float:
        """A flow that was away has saved nothing up: it begins where the others are."""
        return max(self._now, self._tags.get(flow, 0.0))

    def _drop_if_empty(self, flow: Flow, key: str) -> None:
        if not self._groups[flow][key]:
            del self._groups[flow][key]
        if not self._groups[flow]:
            del self._groups[flow]
