"""Is what we run the user's own simulation? Both side by side, second by second.

On one side plain SUMO runs the user's own configuration, untouched, in a copy of the user's files;
on the other side what everything else here is made from. After each second a digest is taken of
both: lane, position and speed of every vehicle, edge and position of every person, and the state of
every signal, in all digits. They are the same, or the first difference is named.

SUMO 1.28 can depend on the order in which memory is handed out while it loads a network: it keeps
links in a set ordered by their addresses. So ours is loaded with another order than the user's own.
Where only that makes a difference, it is noted and the comparison goes on in the usual order.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.dataset import Action, Sensitivity
from shared.errors import FidelityError
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Look, Open, Ready, Replay, Seen
from sim_workers.scenarios.files import silenced
from sim_workers.scenarios.scenario import CONFIG_NAME, Original, write_files

__all__ = ["Comparison", "Difference", "Sides", "compare", "grouped_warnings"]

_LIMIT_S = 3600.0
_CHUNK_S = 300.0
_WARNING = re.compile(r"^Warning: (.*)$", re.MULTILINE)
_PARTICULAR = re.compile(r"'[^']*'|\b\d[\d:.]*\b")
_MAX_LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class Sides:
    """What is compared."""

    original: Original
    scenario: Mapping[str, bytes]
    """Files of the scenario as it is run here."""
    seed: int
    scale: float = 1.0
    actions: Sequence[Action] = ()
    """What both do on the way, in order."""


@dataclass(frozen=True)
class Difference:
    """Where the two part."""

    time_s: float
    thing: str
    """What is first in the order of names: ``vehicle a``, ``person b``, ``signal c``."""
    own: str | None
    """Where it is in the user's own simulation; None: nowhere."""
    ours: str | None
    things: int
    """How many differ in that second."""

    def __str__(self) -> str:
        own, ours = self.own or "not there", self.ours or "not there"
        return (
            f"at {self.time_s:g} s {self.thing} is {own} in the user's own simulation and {ours} "
            f"here ({self.things} differ in that second); {self.cause}"
        )

    @property
    def cause(self) -> str:
        """What is likely behind it."""
        if self.own is None or self.ours is None:
            return "demand was read or drawn differently"
        if self.thing.startswith("signal"):
            return "the signals run different programs"
        return "something was drawn or configured differently"


@dataclass(frozen=True)
class Comparison:
    """What became of a comparison."""

    compared_to_s: float
    """Both were the same up to here, or to the first difference, seconds."""
    difference: Difference | None
    sensitivity: Sensitivity | None
    warnings: tuple[str, ...]
    """What SUMO warned of while it ran the user's own configuration; see
    :func:`grouped_warnings`."""
    wall_s: float

    def check(self) -> None:
        """Passes where both are the same.

        Raises:
            FidelityError: They are not.
        """
        if self.difference is not None:
            raise FidelityError(
                "what would be run here differs from the user's own simulation: "
                f"{self.difference}. Pass --allow-deviation to continue anyway; every result then "
                'says "fidelity": "bundle"'
            )


def compare(
    sides: Sides,
    to_s: float,
    fork_server: ForkServer,
    should_stop: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Runs both sides from their begin to a time.

    Args:
        sides: What is compared.
        to_s: The end, seconds of simulated time.
        fork_server: Who starts both.
        should_stop: Asked every few minutes of simulated time.

    Raises:
        CancelledError: It should stop.
        RolloutRejected: SUMO refuses one of them.
        HolderLost: A simulation died.
    """
    began_s = time.monotonic()
    with TemporaryDirectory(prefix="greenfork-comparing-") as folder:
        root = Path(folder)
        write_files(root / "original", silenced(sides.original.files))
        write_files(root / "scenario", sides.scenario)
        with closing(_Pair(sides, root, fork_server)) as pair:
            difference, sensitivity = pair.walk(to_s, should_stop)
            warnings = grouped_warnings(pair.own.said(_MAX_LOG_BYTES))
    compared_to_s = to_s if difference is None else difference.time_s
    wall_s = time.monotonic() - began_s
    return Comparison(compared_to_s, difference, sensitivity, warnings, wall_s)


def grouped_warnings(log: str) -> tuple[str, ...]:
    r"""SUMO's warnings, those that differ only in names and numbers once, the most frequent first.

    >>> grouped_warnings("Warning: Vehicle 'a' waits.\nWarning: Vehicle 'b' waits.")
    ("Vehicle 'a' waits. (and 1 more like it)",)
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for said in _WARNING.findall(log):
        kind = _PARTICULAR.sub("", said)
        first.setdefault(kind, said.strip())
        counts[kind] += 1
    return tuple(
        first[kind] + (f" (and {count - 1} more like it)" if count > 1 else "")
        for kind, count in counts.most_common()
    )


class _Pair:
    """The two simulations."""

    def __init__(self, sides: Sides, root: Path, fork_server: ForkServer) -> None:
        self._sides = sides
        self._root = root
        self._fork_server = fork_server
        self.own = self._open_own()
        self._is_scattered = True
        self._ours = self._open_ours()

    def close(self) -> None:
        """Ends both."""
        self.own.close()
        self._ours.close()

    def walk(
        self, to_s: float, should_stop: Callable[[], bool]
    ) -> tuple[Difference | None, Sensitivity | None]:
        """Goes to a time, or to the first difference."""
        at_s = begin_s = self.own.time_s(_LIMIT_S)
        seen: list[str] = []
        sensitivity = None
        while at_s < to_s:
            if should_stop():
                raise CancelledError("the comparison was stopped")
            next_s = min(at_s + _CHUNK_S, to_s)
            own, ours = self._watch(self.own, next_s), self._watch(self._ours, next_s)
            own_digests = own.receive(Ready, _LIMIT_S).digests
            ours_digests = ours.receive(Ready, _LIMIT_S).digests
            seen += own_digests
            if own_digests != ours_digests:
                part = _first_difference(own_digests, ours_digests)
                if not self._is_scattered:
                    return self._difference(at_s + part + 1), sensitivity
                parted_s = at_s + part + 1
                usual_s = self._go_on_as_usual(begin_s, next_s, seen)
                if usual_s is not None:
                    return self._difference(usual_s), None
                sensitivity = Sensitivity(time_s=parted_s, digest=own_digests[part])
            at_s = next_s
        return None, sensitivity

    def _go_on_as_usual(self, begin_s: float, to_s: float, seen: Sequence[str]) -> float | None:
        """Runs ours again with memory in the usual order; when it differs even so, or None."""
        self._ours.kill()
        self._is_scattered = False
        self._ours = self._open_ours()
        digests = self._watch(self._ours, to_s).receive(Ready, _LIMIT_S).digests
        if list(digests) == list(seen):
            return None
        return begin_s + _first_difference(seen, digests) + 1

    def _difference(self, time_s: float) -> Difference:
        """Tells what differs in a second, by simulating up to it once more."""
        things = []
        for holder in (self._open_own(), self._open_ours()):
            replay = Replay(to_s=time_s, actions=tuple(self._sides.actions))
            with holder:
                holder.call(replay, Ready, _LIMIT_S)
                things.append(holder.call(Look(in_full=True), Seen, _LIMIT_S).things)
        own, ours = things
        names = sorted(n for n in {*own, *ours} if own.get(n) != ours.get(n)) or ["nothing"]
        first = names[0]
        return Difference(time_s, first, own.get(first), ours.get(first), len(names))

    def _watch(self, holder: SimulationHandle, to_s: float) -> SimulationHandle:
        replay = Replay(to_s=to_s, actions=tuple(self._sides.actions), is_watched=True)
        holder.send(replay)
        return holder

    def _open_own(self) -> SimulationHandle:
        original = self._sides.original
        _, config, *arguments = original.arguments("original")
        request = Open(
            config=config,
            seed=self._sides.seed,
            scale=self._sides.scale,
            arguments=tuple(arguments),
            environment=original.variables,
            folder=str(self._root),
            reads=(str(self._root),),
            with_warnings=True,
        )
        return self._fork_server.open(request, _LIMIT_S)

    def _open_ours(self) -> SimulationHandle:
        request = Open(
            config=str(self._root / "scenario" / CONFIG_NAME),
            seed=self._sides.seed,
            scale=self._sides.scale,
            is_scattered=self._is_scattered,
        )
        return self._fork_server.open(request, _LIMIT_S)


def _first_difference(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    found = (index for index, (a, b) in enumerate(pairs) if a != b)
    return next(found, min(len(one), len(other)))
