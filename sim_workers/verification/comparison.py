"""What a verification found: stored numbers beside true ones, and the report of a dataset.

Pure. Who obtains the numbers is :mod:`sim_workers.verification.verifier`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shared.dataset import Row
from shared.decisions import Decision, canonical
from shared.rewards import Metrics
from shared.signals import SignalState
from shared.wire.states import Fidelity, Restore, StateRecord

__all__ = [
    "SAME",
    "Difference",
    "Place",
    "Source",
    "Unchecked",
    "Value",
    "Verification",
    "metric_differences",
    "record_differences",
    "row_differences",
]

SAME = "the same, second by second"
"""What came of a comparison without a difference."""
Value = float | str | None
Source = Literal["outcome", "engine", "record"]
"""Where a number that was checked stood: among a row's outcomes, in what the engine rolls out from
the state here and now, or in what the row and the state's record say of the signals."""


@dataclass(frozen=True)
class Place:
    """What was checked."""

    state_id: str
    tls_id: str
    decision: str | None
    """As :func:`shared.decisions.canonical` writes it, or ``left alone``; None: at the moment of
    the state itself."""

    @classmethod
    def of(cls, row: Row, decision: Decision | None = None) -> "Place":
        """A decision of a row, or the row's moment."""
        return cls(row.state_id, row.tls_id, None if decision is None else canonical(decision))


@dataclass(frozen=True)
class Difference:
    """A number that is not what the independent path shows."""

    place: Place
    source: Source
    metric: str
    """Field of the metrics or of the signal's state."""
    stored: Value
    true: Value

    @property
    def size(self) -> float | None:
        """How far apart they are; None where they are no numbers."""
        if isinstance(self.stored, float | int) and isinstance(self.true, float | int):
            return abs(self.stored - self.true)
        return None


@dataclass(frozen=True)
class Unchecked:
    """What could not be checked, and why."""

    place: Place
    reason: str


@dataclass(frozen=True)
class Verification:
    """The report of one dataset."""

    rows: int
    """Rows that were looked at."""
    restores: dict[Restore, int]
    """The same by how their states are brought back, before anything was promoted."""
    decisions: int
    """Decisions of these rows that were played again."""
    different: int
    """Those of which anything differs."""
    differences: tuple[Difference, ...]
    unchecked: tuple[Unchecked, ...]
    against: Fidelity
    """What they were played in: the user's ``own`` configuration, or the dataset's ``bundle``, as
    only that is known of datasets of version 0.1."""
    without_network: bool
    """Whether SUMO had no network but a loopback of its own."""
    compared: dict[str, str]
    """Runs that were said to be of the bundle and were compared with the user's own now: what came
    of it."""
    promoted: dict[str, Restore]
    """States that were unverified, and what they are now."""
    unverified: dict[str, str]
    """States that were and stay unverified, and why."""
    custom: tuple[str, ...]
    """Users' own metrics, of installed packages or in the dataset, ``custom.co2``: plain SUMO
    cannot compute them, so that nothing is said of them."""
    wall_s: float

    @property
    def exact(self) -> int:
        """Decisions of which every number is the true one, to the last bit."""
        return self.decisions - self.different

    @property
    def is_exact(self) -> bool:
        """Whether everything was checked and nothing differs."""
        is_own = all(found == SAME for found in self.compared.values())
        return is_own and not self.differences and not self.unchecked

    def largest(self) -> dict[str, Difference]:
        """The largest difference of each metric."""
        found: dict[str, Difference] = {}
        for one in self.differences:
            if one.metric not in found or (one.size or 0) > (found[one.metric].size or 0):
                found[one.metric] = one
        return found


def metric_differences(
    place: Place, source: Source, stored: Metrics, true: Metrics
) -> Iterator[Difference]:
    """Every metric that differs; the series only where both have one.

    Outcomes that are older than ``delay_veh`` say nothing of it, and plain SUMO says nothing of
    users' own metrics.
    """
    is_older = source == "outcome" and stored.delay_veh is None
    unclaimed = {"series", "custom", *(["delay_veh"] if is_older else [])}
    for name in Metrics.model_fields:
        if name not in unclaimed:
            yield from _different(place, source, name, getattr(stored, name), getattr(true, name))
    if stored.series is None or true.series is None:
        return
    seconds = zip(stored.series, true.series, strict=True)
    for second, (queue, true_queue) in enumerate(seconds, start=1):
        yield from _different(place, source, f"series[{second}]", queue, true_queue)


def row_differences(row: Row, true: SignalState) -> Iterator[Difference]:
    """What a row says of its signal at the moment of the state, where it differs."""
    place = Place.of(row)
    yield from _different(place, "record", "current_phase", row.current_phase, true.phase)
    stored_s = row.elapsed_green_s
    yield from _different(place, "record", "elapsed_green_s", stored_s, true.elapsed_s)


def record_differences(record: StateRecord, true: dict[str, SignalState]) -> Iterator[Difference]:
    """What a state's record says of every signal, where it differs; gone is None."""
    for tls_id in sorted({*record.signals, *true}):
        place = Place(record.state_id, tls_id, None)
        for name in SignalState.model_fields:
            values = (getattr(s.get(tls_id), name, None) for s in (record.signals, true))
            yield from _different(place, "record", name, *values)


def _different(
    place: Place, source: Source, metric: str, stored: Value, true: Value
) -> Iterator[Difference]:
    if stored != true:
        yield Difference(place, source, metric, stored, true)
