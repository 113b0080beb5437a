"""SUMO itself, in this process: the only module that imports libsumo.

libsumo holds one simulation a process; :class:`Simulation` is that one. Everything here is single
threaded, so that a simulation can be forked at any moment.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import libsumo

from shared.errors import RolloutRejected
from shared.prompts import LaneCounts
from shared.rewards import Metrics
from shared.signals import Phase, Program, Signal, SignalState
from sim_workers.sampling import HALTING_SPEED_MPS, MetricsRecorder, PassedVehicles, Sample
from sim_workers.scenarios import sumo_arguments

__all__ = ["SUMO_ERRORS", "Simulation"]

SUMO_ERRORS = (libsumo.TraCIException, libsumo.FatalTraCIError)
"""What SUMO raises when it refuses something."""

_PROGRAM_KINDS = {0: "static", 3: "actuated", 4: "nema", 5: "delay_based"}

_QUIET = (
    "--no-step-log=true",
    "--no-warnings=true",
    "--duration-log.disable=true",
)
# What a state file needs to continue exactly: the position of every random generator, persons,
# and all digits. The precision counts decimals, so small numbers need more of them than doubles
# have significant digits.
_EXACT_STATES = (
    "--save-state.rng=true",
    "--save-state.transportables=true",
    "--save-state.precision=30",
)


class Simulation:
    """The simulation of this process."""

    def __init__(self) -> None:
        self._passed: dict[str, PassedVehicles] = {}
        self._signals: dict[str, Signal] = {}

    def open(self, config: Path, seed: int, state_file: Path | None) -> float:
        """Starts SUMO, at its begin or from a state, and returns its time in seconds.

        Raises:
            RolloutRejected: SUMO refuses the scenario or the state; its words are in the message.
        """
        arguments = ["sumo", *sumo_arguments(str(config), seed), *_QUIET, *_EXACT_STATES]
        if state_file is not None:
            arguments += ["--load-state", str(state_file)]
        try:
            libsumo.start(arguments)
        except SUMO_ERRORS as exc:
            raise RolloutRejected(f"SUMO does not start: {exc}") from exc
        return self.time_s

    @property
    def time_s(self) -> float:
        """Simulated time, seconds."""
        return float(libsumo.simulation.getTime())

    def describe(self, min_green_s: float, max_green_s: float) -> dict[str, Signal]:
        """Every traffic light of the network, by id."""
        return {
            tls_id: _describe(tls_id, min_green_s, max_green_s)
            for tls_id in sorted(libsumo.trafficlight.getIDList())
        }

    def watch(self, signals: Iterable[Signal]) -> None:
        """From now on counts the vehicles that pass these signals."""
        self._signals = {signal.tls_id: signal for signal in signals}
        self._passed = {tls_id: PassedVehicles() for tls_id in self._signals}

    def advance(self, to_s: float) -> float:
        """Steps second by second until ``to_s`` and returns the time reached, seconds."""
        while self.time_s < to_s:
            libsumo.simulationStep(min(self.time_s + 1, to_s))
            for tls_id, passed in self._passed.items():
                signal, state = self._signals[tls_id], _signal_state(tls_id)
                phase = signal.programs[state.program_id].phases[state.phase]
                vehicles = {
                    lane: frozenset(libsumo.lane.getLastStepVehicleIDs(lane))
                    for lane in signal.incoming_lanes
                }
                passed.update(state.phase, phase, vehicles)
        return self.time_s

    def signal_states(self) -> dict[str, SignalState]:
        """What every traffic light is doing."""
        return {tls: _signal_state(tls) for tls in sorted(libsumo.trafficlight.getIDList())}

    def counts(self, tls_id: str) -> dict[int, LaneCounts]:
        """The vehicles of a watched signal, by green phase."""
        signal, state = self._signals[tls_id], _signal_state(tls_id)
        program = signal.programs[state.program_id]
        counts = {}
        for index in program.greens():
            lanes = program.phases[index].green_lanes
            halting = sum(libsumo.lane.getLastStepHaltingNumber(lane) for lane in lanes)
            vehicles = sum(libsumo.lane.getLastStepVehicleNumber(lane) for lane in lanes)
            counts[index] = LaneCounts(
                queued=halting,
                approaching=vehicles - halting,
                passed=self._passed[tls_id].of_phase(index),
            )
        return counts

    def save(self, path: Path) -> None:
        """Writes the state as SUMO does; :mod:`sim_workers.statefile` makes it exact."""
        libsumo.simulation.saveState(str(path))

    def keep_phase(self, tls_id: str, remaining_s: float) -> None:
        """Lets the current phase last ``remaining_s`` more seconds, then the program goes on.

        How long the phase has been shown already is the caller's to know: in a restored simulation
        SUMO's ``getSpentDuration`` starts again from 0.
        """
        libsumo.trafficlight.setPhaseDuration(tls_id, remaining_s)

    def observe_horizon(
        self, tls_id: str, horizon_s: int, trace_s: int | None
    ) -> tuple[Metrics, str | None]:
        """Steps the horizon and samples one signal after each second.

        Args:
            tls_id: The signal.
            horizon_s: Seconds to sample.
            trace_s: Seconds over which every vehicle is digested, or None.

        Returns:
            The metrics, and the trace as 64 hex digits if one was asked for.

        Raises:
            TraCIException: The network has no such traffic light.
        """
        incoming, outgoing = _incoming_lanes(tls_id), _outgoing_lanes(tls_id)
        recorder = MetricsRecorder(frozenset(_vehicles_on(incoming)))
        digest = hashlib.sha256() if trace_s is not None else None
        start_s = self.time_s
        for second in range(1, max(horizon_s, trace_s or 0) + 1):
            libsumo.simulationStep(start_s + second)
            if second <= horizon_s:
                recorder.add(_sample(incoming, outgoing))
            if digest is not None:
                digest.update(_positions())
        return recorder.metrics(), None if digest is None else digest.hexdigest()


def _describe(tls_id: str, min_green_s: float, max_green_s: float) -> Signal:
    links = libsumo.trafficlight.getControlledLinks(tls_id)
    programs = {
        logic.programID: Program(
            program_id=logic.programID,
            kind=_PROGRAM_KINDS.get(logic.type, f"type {logic.type}"),
            phases=tuple(
                Phase(
                    duration_s=phase.duration,
                    state=phase.state,
                    green_lanes=_green_lanes(phase.state, links),
                )
                for phase in logic.phases
            ),
        )
        for logic in libsumo.trafficlight.getAllProgramLogics(tls_id)
    }
    return Signal(
        tls_id=tls_id,
        incoming_lanes=_incoming_lanes(tls_id),
        outgoing_lanes=_outgoing_lanes(tls_id),
        programs=programs,
        min_green_s=min_green_s,
        max_green_s=max_green_s,
    )


def _incoming_lanes(tls_id: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(libsumo.trafficlight.getControlledLanes(tls_id)))


def _outgoing_lanes(tls_id: str) -> tuple[str, ...]:
    links = libsumo.trafficlight.getControlledLinks(tls_id)
    return tuple(dict.fromkeys(link[1] for group in links for link in group))


def _green_lanes(state: str, links: list[list[tuple[str, str, str]]]) -> tuple[str, ...]:
    green = (group for letter, group in zip(state, links, strict=False) if letter in "Gg")
    return tuple(dict.fromkeys(link[0] for group in green for link in group))


def _signal_state(tls_id: str) -> SignalState:
    return SignalState(
        program_id=libsumo.trafficlight.getProgram(tls_id),
        phase=libsumo.trafficlight.getPhase(tls_id),
        elapsed_s=libsumo.trafficlight.getSpentDuration(tls_id),
    )


def _vehicles_on(lanes: tuple[str, ...]) -> list[str]:
    """Vehicle ids in an order that is always the same, so that sums are, to the last bit."""
    return [v for lane in lanes for v in libsumo.lane.getLastStepVehicleIDs(lane)]


def _sample(incoming: tuple[str, ...], outgoing: tuple[str, ...]) -> Sample:
    lane, vehicle = libsumo.lane, libsumo.vehicle
    vehicles = _vehicles_on(incoming)
    return Sample(
        vehicles=frozenset(vehicles),
        queue_veh=sum(lane.getLastStepHaltingNumber(i) for i in incoming),
        wait_s=sum(lane.getWaitingTime(i) for i in incoming),
        speed_sum_mps=sum(vehicle.getSpeed(v) for v in vehicles),
        outgoing_veh=sum(lane.getLastStepVehicleNumber(o) for o in outgoing),
        network_queue_veh=_network_queue(),
    )


def _network_queue() -> int:
    """The sum of ``lane.getLastStepHaltingNumber`` over all lanes.

    Only lanes on which some vehicle stands are asked: most are empty. Whether such a vehicle
    counts, one that parks does not, is for SUMO to say.
    """
    vehicle = libsumo.vehicle
    standing = (v for v in vehicle.getIDList() if vehicle.getSpeed(v) < HALTING_SPEED_MPS)
    lanes = {vehicle.getLaneID(v) for v in standing} - {""}
    return sum(libsumo.lane.getLastStepHaltingNumber(lane) for lane in lanes)


def _positions() -> bytes:
    vehicle = libsumo.vehicle
    rows = (
        (v, vehicle.getLaneID(v), vehicle.getLanePosition(v), vehicle.getSpeed(v))
        for v in sorted(vehicle.getIDList())
    )
    return repr(tuple(rows)).encode()
