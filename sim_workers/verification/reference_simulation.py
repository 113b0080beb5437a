"""The independent path: plain ``sumo``, driven over TraCI from the begin of its run.

One :class:`Episode` is one straightforward simulation: no fork, no state file, no code of the
engine. The metrics are implemented here a second time, and the effects of decisions in
:mod:`sim_workers.verification.reference_control`, so that a mistake cannot hide in both. Plain and
slow on purpose; :mod:`sim_workers.verification.verifier` plays many episodes.

The only module that imports ``traci``, and only when an episode is played.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

from shared.dataset import Action
from shared.decisions import Decision
from shared.errors import RolloutCrashed, RolloutRejected
from shared.rewards import FollowUp, Metrics
from shared.signals import SignalState
from sim_workers.states.store import read_rows
from sim_workers.verification.reference_control import HALF_MS, Greens, Light, carry_out
from sim_workers.verification.sumo_process import SumoProcess

__all__ = ["Episode", "Played", "connected", "play"]

_CONNECT_EVERY_S = 0.02
_CONNECT_TRIES = 3000
_STARTS = 3
"""Number of attempts: a free port may be taken before ``sumo`` listens on it."""


@dataclass(frozen=True)
class Episode:
    """A run from its begin to a moment, decisions at that moment, and the horizon after it."""

    folder: Path
    """A copy of the user's files, in which the command runs."""
    command: tuple[str, ...]
    """Arguments for ``sumo``: the user's own configuration, and those that determine the run."""
    environment: Mapping[str, str]
    """Variables that the configuration names."""
    actions: Path | None
    """File of the run's policy actions; those before the moment are repeated."""
    moment_s: float
    decisions: tuple[tuple[str, Decision], ...]
    """By signal; empty leaves every program alone."""
    greens: Mapping[str, Greens]
    """Bounds of the greens of the decided signals."""
    observe: tuple[str, ...]
    """The signals whose lanes are counted, each lane once."""
    horizon_s: int
    follow_up: FollowUp = "program"
    """What controls the decided signals after their decisions."""


@dataclass(frozen=True)
class Played:
    """What an episode showed."""

    signals: dict[str, SignalState]
    """Every traffic light at the moment, before anything was decided."""
    metrics: Metrics
    """Over the horizon, with the series."""
    phases: dict[str, tuple[int, ...]]
    """The phases that each decided signal showed, second by second."""


def play(sumo: Path, episode: Episode) -> Played:
    """Plays an episode.

    Raises:
        RolloutRejected: SUMO refuses the run or a call, or the run does not reach the moment.
        RolloutCrashed: Its process ended before its time.
        DatasetError: The file of the policy's actions cannot be read.
    """
    from traci.exceptions import FatalTraCIError, TraCIException

    try:
        with connected(sumo, episode.folder, episode.command, episode.environment) as simulation:
            return _play(simulation, episode)
    except FatalTraCIError as exc:
        raise RolloutCrashed(f"sumo ended prematurely: {exc}") from exc
    except TraCIException as exc:
        raise RolloutRejected(f"sumo refuses: {exc}") from exc


@contextlib.contextmanager
def connected(
    sumo: Path,
    folder: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    may_end: bool = False,
) -> Iterator[Any]:
    """A connection to a separate ``sumo`` process; both end with the context.

    Args:
        sumo: The program.
        folder: Where it is started, and may read and write.
        command: Its arguments.
        environment: Variables that its configuration names.
        may_end: Whether the connection may be closed, and ``sumo`` end, within the context.

    Raises:
        RolloutRejected: It does not start.
        RolloutCrashed: It ended before its time.
    """
    from traci.exceptions import FatalTraCIError, TraCIException

    for attempt in range(1, _STARTS + 1):
        with SumoProcess(sumo, folder, command, environment) as own:
            try:
                connection = _connect(own)
            except TraCIException as exc:
                if attempt < _STARTS:
                    continue
                raise RolloutRejected(f"sumo does not start: {own.last_words()}") from exc
            try:
                yield connection
                if (
                    own.has_ended and not may_end
                ):  # then it was the process of another episode that answered
                    raise RolloutCrashed(f"sumo ended prematurely: {own.last_words()}")
            finally:
                with contextlib.suppress(FatalTraCIError):
                    connection.close(wait=False)
            return


def _connect(sumo: SumoProcess) -> Any:  # noqa: ANN401  traci is untyped
    import traci

    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it retries
        return traci.connect(sumo.port, _CONNECT_TRIES, "localhost", sumo.process, _CONNECT_EVERY_S)


def _play(simulation: Any, episode: Episode) -> Played:  # noqa: ANN401  traci is untyped
    lights = {tls: Light(simulation, tls) for tls in _traffic_lights(simulation.trafficlight)}
    _repeat(simulation, episode)
    signals = {tls: lights[tls].state() for tls in sorted(lights)}
    deciding = [
        carry_out(lights[tls], decision, episode.greens[tls], episode.follow_up)
        for tls, decision in episode.decisions
    ]
    counted = _Counted(simulation, episode.observe)
    phases: dict[str, list[int]] = {tls: [] for tls, _ in episode.decisions}
    for second in range(1, episode.horizon_s + 1):
        while _before(simulation, episode.moment_s + second):
            for decision in deciding:
                next(decision, None)
            simulation.simulationStep()
        counted.add()
        for tls, shown in phases.items():
            shown.append(lights[tls].phase)
    return Played(signals, counted.metrics(), {tls: tuple(p) for tls, p in phases.items()})


def _traffic_lights(light: Any) -> list[str]:  # noqa: ANN401  traci is untyped
    """Without rail signals (type 1) and level crossings (2), which SUMO lists among them."""
    return [
        tls_id
        for tls_id in light.getIDList()
        if all(logic.type not in (1, 2) for logic in light.getAllProgramLogics(tls_id))
    ]


def _repeat(simulation: Any, episode: Episode) -> None:  # noqa: ANN401  traci is untyped
    """Steps to the moment, repeating before each step what the run's policy did there."""
    for action in _done_before(episode):
        _step_to(simulation, action.time_s)
        simulation.trafficlight.setPhaseDuration(action.tls_id, action.remaining_s)
    _step_to(simulation, episode.moment_s)


def _done_before(episode: Episode) -> Iterator[Action]:
    actions = [] if episode.actions is None else read_rows(episode.actions, Action)
    yield from (action for action in actions if action.time_s < episode.moment_s)


def _step_to(simulation: Any, time_s: float) -> None:  # noqa: ANN401  traci is untyped
    if _before(simulation, time_s):
        simulation.simulationStep(float(time_s))
    now_s: float = simulation.simulation.getTime()
    if abs(now_s - time_s) > HALF_MS:
        raise RolloutRejected(f"the run is at {now_s:g} s, and never at {time_s:g} s")


def _before(simulation: Any, time_s: float) -> bool:  # noqa: ANN401  traci is untyped
    now_s: float = simulation.simulation.getTime()
    return now_s < time_s - HALF_MS


class _Counted:
    """What is counted on the lanes of some signals, second by second.

    Floats are summed lane by lane, and vehicle by vehicle in each lane's order: another order could
    change the last bit.
    """

    def __init__(self, simulation: Any, tls_ids: tuple[str, ...]) -> None:  # noqa: ANN401
        import traci.constants as tc

        self._edge, self._lane, self._vehicle = simulation.edge, simulation.lane, simulation.vehicle
        self._insertion = simulation.simulation
        lights = simulation.trafficlight
        links = [
            link for tls in tls_ids for group in lights.getControlledLinks(tls) for link in group
        ]
        self._incoming = _once(lane for tls in tls_ids for lane in lights.getControlledLanes(tls))
        self._outgoing = _once(link[1] for link in links)
        self._variables = tc.LAST_STEP_VEHICLE_ID_LIST, tc.VAR_WAITING_TIME
        self._halting = tc.LAST_STEP_VEHICLE_HALTING_NUMBER
        self._driving = tc.VAR_SPEED, tc.VAR_ALLOWED_SPEED
        for edge in self._edge.getIDList():  # those inside junctions included
            self._edge.subscribe(edge, [self._halting])
        for lane in {*self._incoming, *self._outgoing}:
            self._lane.subscribe(lane, [self._halting, *self._variables])
        self._there = self._vehicles()
        self._queue: list[int] = []
        self._network: list[int] = []
        self._pressure: list[int] = []
        self._wait_s: list[float] = []
        self._speed_mps: list[float] = []
        self._delay: list[float] = []
        self._seen = 0
        self._left = 0

    def add(self) -> None:
        """Counts the second that has just been simulated."""
        before, self._there = self._there, self._vehicles()
        self._left += len(set(before) - set(self._there))
        self._seen += len(self._there)
        seen = self._lane.getAllSubscriptionResults()
        ids, waiting = self._variables
        self._queue.append(sum(seen[lane][self._halting] for lane in self._incoming))
        edges = self._edge.getAllSubscriptionResults().values()
        self._network.append(sum(edge[self._halting] for edge in edges))
        outgoing = sum(len(seen[lane][ids]) for lane in self._outgoing)
        self._pressure.append(len(self._there) - outgoing)
        self._wait_s.append(fsum(seen[lane][waiting] for lane in self._incoming))
        self._speed_mps.append(fsum(self._vehicle.getSpeed(v) for v in self._there))
        self._delay.append(fsum([*self._lost(), len(self._insertion.getPendingVehicles())]))

    def metrics(self) -> Metrics:
        """The metrics over all seconds so far."""
        seconds = len(self._queue)
        return Metrics(
            queue_veh=sum(self._queue) / seconds,
            queue_veh_max=max(self._queue),
            wait_s=fsum(self._wait_s) / seconds,
            speed_mps=fsum(self._speed_mps) / self._seen if self._seen else None,
            throughput_veh=self._left,
            pressure_veh=sum(self._pressure) / seconds,
            network_queue_veh=sum(self._network) / seconds,
            delay_veh=fsum(self._delay) / seconds,
            series=tuple(self._queue),
        )

    def _lost(self) -> Iterator[float]:
        """How far each vehicle falls short of its allowed speed, as a share of that speed.

        Nothing of those that no speed is allowed to: on closed lanes, and off the road, parked or
        being teleported, where SUMO gives a number below 0.
        """
        for vehicle in set(self._vehicle.getIDList()) - set(self._subscribed()):
            self._vehicle.subscribe(vehicle, self._driving)
        for seen in self._subscribed().values():
            speed, allowed = (seen[variable] for variable in self._driving)
            if allowed > 0:
                yield 1 - speed / allowed

    def _subscribed(self) -> dict[str, Any]:
        found: dict[str, Any] = self._vehicle.getAllSubscriptionResults()
        return found

    def _vehicles(self) -> list[str]:
        ids, _ = self._variables
        seen = self._lane.getAllSubscriptionResults()
        return [vehicle for lane in self._incoming for vehicle in seen[lane][ids]]


def _once(lanes: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lanes))
