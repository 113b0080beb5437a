"""SUMO itself, in this process: starting, stepping, deciding, saving.

libsumo holds one simulation per process; :class:`Simulation` represents it. Everything here is
single-threaded, so that a simulation can be forked at any moment. Reading from the simulation is in
:mod:`sim_workers.engine.readings`.
"""

import ctypes
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import libsumo

from shared.dataset import Action
from shared.decisions import Extend
from shared.errors import RolloutRejected
from shared.language.prompts import LaneCounts
from shared.legality import is_decision_point
from shared.rewards import FollowUp, Metrics
from shared.signals import Program, Signal, SignalState
from sim_workers.engine.custom.loading import LoadedMetrics
from sim_workers.engine.custom.recorder import CustomRecorder
from sim_workers.engine.episodes.yellow_signal import YellowSignal
from sim_workers.engine.messages import Open, Rollout, RolloutOutcome, SignalDecision
from sim_workers.engine.metrics import MetricsRecorder, PassedVehicles
from sim_workers.engine.policies import PolicySpec, choose
from sim_workers.engine.readings import (
    ObservedLanes,
    WayTrace,
    describe_signal,
    moment_digest,
    pressures,
    running_program,
    signal_state,
    traffic_lights,
    vehicles_by_green,
)
from sim_workers.engine.showing.trace_recorder import TraceRecorder
from sim_workers.engine.signal_control import Command, SignalView, commands_of
from sim_workers.scenarios.scenario import sumo_arguments

__all__ = ["SUMO_ERRORS", "Simulation"]

SUMO_ERRORS = (libsumo.TraCIException, libsumo.FatalTraCIError)
"""What SUMO raises when it refuses something."""

_QUIET = (
    "--no-step-log=true",
    "--duration-log.disable=true",
)
# What a state file needs to continue exactly: the position of every random generator, persons,
# and all digits. The precision is the number of decimals, so small numbers need more of them than
# a double has significant digits.
_EXACT_STATES = (
    "--save-state.rng=true",
    "--save-state.transportables=true",
    "--save-state.precision=30",
)


_M_TOP_PAD, _M_MMAP_THRESHOLD = -2, -3
_SCATTERED = {_M_TOP_PAD: 0, _M_MMAP_THRESHOLD: 1}
"""Each allocation that does not fit into the heap is a mapping of its own, at falling addresses."""
_USUAL = {_M_TOP_PAD: 128 * 1024, _M_MMAP_THRESHOLD: 128 * 1024}
"""The heap is used again once the network is loaded: a mapping per vehicle makes steps far too
slow."""


class Simulation:
    """The simulation in this process.

    Args:
        custom: Users' own metrics that rollouts may ask for.
    """

    def __init__(self, custom: LoadedMetrics | None = None) -> None:
        self._custom = custom or {}
        self._passed: dict[str, PassedVehicles] = {}
        self._signals: dict[str, Signal] = {}
        self._lanes: ObservedLanes | None = None
        self._programs: dict[str, Program] = {}
        self._seed = 0
        self._begin_s = 0.0

    def open(self, request: Open) -> float:
        """Starts SUMO, from the beginning or from a state, and returns its time in seconds.

        Raises:
            RolloutRejected: SUMO refuses the scenario or the state; its words are in the message.
        """
        config, seed, scale = request.config, request.seed, request.scale
        arguments = ["sumo", *sumo_arguments(config, seed, scale), *request.arguments]
        arguments += [*_QUIET, *_EXACT_STATES]
        if not request.with_warnings:
            arguments.append("--no-warnings=true")
        if request.state_file is not None:
            arguments += ["--load-state", request.state_file]
        if request.is_scattered:
            _allocate(_SCATTERED)
        try:
            libsumo.start(arguments)
        except SUMO_ERRORS as exc:
            raise RolloutRejected(f"SUMO does not start: {exc}") from exc
        if request.is_scattered:
            _allocate(_USUAL)
        self._seed, self._begin_s = seed, self.time_s
        return self.time_s

    @property
    def time_s(self) -> float:
        """Simulated time, seconds."""
        return float(libsumo.simulation.getTime())

    def describe(self, min_green_s: float, max_green_s: float) -> dict[str, Signal]:
        """Every traffic light of the network, by id."""
        return {
            tls_id: describe_signal(tls_id, min_green_s, max_green_s) for tls_id in traffic_lights()
        }

    def watch(self, signals: Iterable[Signal]) -> None:
        """Counts the vehicles that pass these signals from now on."""
        self._signals = {signal.tls_id: signal for signal in signals}
        self._passed = {tls_id: PassedVehicles() for tls_id in self._signals}

    def advance(self, to_s: float, policy: PolicySpec) -> list[Action]:
        """Steps until ``to_s`` under a behaviour policy and returns its decisions.

        The policy decides for the watched signals.
        """
        actions: list[Action] = []
        while self.time_s < to_s:
            if not policy.is_idle and (self.time_s - self._begin_s) % policy.extend_s == 0:
                actions += self._decide(policy)
            self._step_to(min(self.time_s + 1, to_s))
        return actions

    def watch_on(self, to_s: float, actions: Sequence[Action]) -> tuple[str, ...]:
        """Replays until ``to_s`` and returns a digest of every second on the way."""
        digests = []
        pending = deque(action for action in actions if action.time_s >= self.time_s)
        while self.time_s < to_s:
            next_s = min(math.floor(self.time_s) + 1.0, to_s)
            due = []
            while pending and pending[0].time_s < next_s:
                due.append(pending.popleft())
            self.replay(next_s, due)
            digests.append(moment_digest())
        return tuple(digests)

    def replay(self, to_s: float, actions: Sequence[Action]) -> None:
        """Steps until ``to_s``, repeating the actions whose time has not passed yet."""
        for action in actions:
            if self.time_s <= action.time_s < to_s:
                self._step_to(action.time_s)
                _repeat(action)
        self._step_to(to_s)

    def signal_states(self) -> dict[str, SignalState]:
        """The present state of every traffic light."""
        return {tls: signal_state(tls) for tls in traffic_lights()}

    def counts(self, tls_id: str) -> dict[int, LaneCounts]:
        """The vehicles of a watched signal, by green phase."""
        signal, state = self._signals[tls_id], signal_state(tls_id)
        program = signal.programs.get(state.program_id)
        counts: dict[int, LaneCounts] = {}
        if program is None:  # switched off: SUMO creates a program for that on demand
            return counts
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
        """Writes the state as SUMO does; :mod:`sim_workers.states.state_file` makes it exact."""
        libsumo.simulation.saveState(str(path))

    def prepare(self, rollout: Rollout) -> None:
        """Reads and builds what a rollout needs before its first step; moves nothing.

        The results are kept while they are valid, also for the rollouts that are forked from here.

        Raises:
            TraCIException: The network has no such traffic light.
        """
        self._lanes_of(rollout.observe)
        self._controls_of(rollout)

    def look(self, tls_ids: tuple[str, ...]) -> Metrics:
        """The metrics of a single second, the present one; moves nothing."""
        lanes = self._lanes_of(tls_ids)
        recorder = MetricsRecorder(lanes.vehicles())
        recorder.add(lanes.sample())
        return recorder.metrics()

    def roll_out(self, rollout: Rollout) -> RolloutOutcome:
        """Carries out the decisions, steps to the horizon and samples after each second.

        Raises:
            TraCIException: The network has no such traffic light.
            RolloutError: A user's own metric is missing, fails, or is no finite number.
        """
        lanes = self._lanes_of(rollout.observe)
        recorder = MetricsRecorder(lanes.vehicles())
        custom = self._recorder_of_custom(rollout)
        trace = WayTrace() if rollout.trace_s is not None else None
        shown = TraceRecorder(rollout.observe) if rollout.is_shown else None
        start_s, controls = self.time_s, self._controls_of(rollout)
        self._programs.clear()
        for second in range(1, max(rollout.horizon_s, rollout.trace_s or 0) + 1):
            controls = _step_controlled(start_s + second, controls)
            if second <= rollout.horizon_s:
                recorder.add(lanes.sample())
                if custom is not None:
                    custom.add(second)
                if shown is not None:
                    shown.add()
            if trace is not None:
                trace.add()
        digest = None if trace is None else trace.hexdigest()
        metrics = recorder.metrics()
        if custom is not None:
            metrics = metrics.model_copy(update={"custom": custom.values()})
        seen = None if shown is None else shown.trace(metrics.series or ())
        return RolloutOutcome(metrics=metrics, trace=digest, shown=seen)

    def _recorder_of_custom(self, rollout: Rollout) -> CustomRecorder | None:
        if not rollout.custom:
            return None
        return CustomRecorder(rollout.custom, self._custom, rollout.observe, rollout.horizon_s)

    def _controls_of(self, rollout: Rollout) -> "list[_Controls]":
        return [self._control_of(one, rollout.follow_up) for one in rollout.signal_decisions]

    def _control_of(self, decided: SignalDecision, follow_up: FollowUp) -> "_Controls":
        if decided.control is not None:
            return YellowSignal(decided, decided.control, self.time_s, follow_up)
        return _SignalControl(decided, self._program_of(decided.tls_id), self.time_s, follow_up)

    def _lanes_of(self, tls_ids: tuple[str, ...]) -> ObservedLanes:
        """The lanes of some traffic lights; those requested last are kept."""
        if self._lanes is None or self._lanes.tls_ids != tls_ids:
            self._lanes = ObservedLanes(tls_ids)
        return self._lanes

    def _program_of(self, tls_id: str) -> Program:
        """The program that a traffic light is running now; steps may change it."""
        if tls_id not in self._programs:
            self._programs[tls_id] = running_program(tls_id)
        return self._programs[tls_id]

    def _step_to(self, to_s: float) -> None:
        """Steps, second by second if vehicles are counted."""
        self._programs.clear()
        if not self._passed:
            if self.time_s < to_s:
                libsumo.simulationStep(to_s)
            return
        while self.time_s < to_s:
            libsumo.simulationStep(min(self.time_s + 1, to_s))
            for tls_id, passed in self._passed.items():
                signal, state = self._signals[tls_id], signal_state(tls_id)
                program = signal.programs.get(state.program_id)
                if program is None:
                    continue
                phase = program.phases[state.phase]
                vehicles = {
                    lane: frozenset(libsumo.lane.getLastStepVehicleIDs(lane))
                    for lane in signal.incoming_lanes
                }
                passed.update(state.phase, phase, vehicles)

    def _decide(self, policy: PolicySpec) -> list[Action]:
        """Lets the policy decide at every watched signal where a decision is possible."""
        actions = []
        for tls_id, signal in self._signals.items():
            state, time_s = signal_state(tls_id), self.time_s
            if not is_decision_point(signal, state):
                continue
            program = signal.programs[state.program_id]
            extend = choose(policy, self._seed, tls_id, time_s, state.phase, pressures(program))
            if extend is None:
                continue
            remaining_s = Extend(extend=extend, extend_s=policy.extend_s).remaining_s(
                state.elapsed_s, signal.min_green_s, signal.max_green_s
            )
            libsumo.trafficlight.setPhaseDuration(tls_id, remaining_s)
            actions.append(Action(time_s=time_s, tls_id=tls_id, remaining_s=remaining_s))
        return actions


def _repeat(action: Action) -> None:
    """Repeats a call."""
    if action.call == "setPhaseDuration":
        libsumo.trafficlight.setPhaseDuration(action.tls_id, action.remaining_s)
    else:
        getattr(libsumo.trafficlight, action.call)(action.tls_id, action.argument)


def _allocate(options: Mapping[int, int]) -> None:
    """Tells glibc how to allocate memory. Does nothing with other C libraries."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options.items():
            mallopt(option, value)


class _SignalControl:
    """A signal under a decision: keeps its clock and passes commands on.

    Args:
        decided: The decision.
        program: The program that the signal runs.
        time_s: The time of the state, in seconds.
        follow_up: What takes over after the decision.
    """

    def __init__(
        self, decided: SignalDecision, program: Program, time_s: float, follow_up: FollowUp
    ) -> None:
        self._tls_id = decided.tls_id
        self._program_id = program.program_id
        self._view = SignalView(
            program,
            decided.min_green_s,
            decided.max_green_s,
            lambda: pressures(program),
            lambda: vehicles_by_green(program),
            libsumo.trafficlight.getPhase(decided.tls_id),
        )
        self._shown_since_s = time_s - decided.elapsed_s
        self._commands = commands_of(self._view, decided.decision, follow_up)
        self.is_silent = False
        """Whether no further command can follow."""

    def before_step(self, time_s: float) -> None:
        """Sends the signal the commands due now."""
        view = self._view
        view.time_s, view.elapsed_s = time_s, time_s - self._shown_since_s
        view.switch_s = libsumo.trafficlight.getNextSwitch(self._tls_id)
        for command in self._commands:
            if command is None:
                return
            self._obey(command)
        self.is_silent = True

    def after_step(self, before_s: float) -> None:
        """Records whether the step that began at ``before_s`` began with another phase.

        Raises:
            RolloutRejected: ``program_switched``: its phases have a different meaning now.
        """
        if libsumo.trafficlight.getProgram(self._tls_id) != self._program_id:
            raise RolloutRejected(
                f"signal {self._tls_id} changed from program {self._program_id!r} to another "
                "before the decision was carried out",
                "program_switched",
            )
        phase = libsumo.trafficlight.getPhase(self._tls_id)
        if phase != self._view.phase:
            self._view.phase, self._shown_since_s = phase, before_s

    def _obey(self, command: Command) -> None:
        if command.phase is not None:
            libsumo.trafficlight.setPhase(self._tls_id, command.phase)
            self._view.phase, self._shown_since_s = command.phase, self._view.time_s
        libsumo.trafficlight.setPhaseDuration(self._tls_id, command.remaining_s)


_Controls = _SignalControl | YellowSignal


def _step_controlled(to_s: float, controls: list[_Controls]) -> list[_Controls]:
    """Steps until ``to_s`` and returns the controls that may still send commands."""
    while controls:
        before_s = float(libsumo.simulation.getTime())
        if before_s >= to_s:
            return controls
        for control in controls:
            control.before_step(before_s)
        controls = [control for control in controls if not control.is_silent]
        if not controls:
            break
        libsumo.simulationStep()
        for control in controls:
            control.after_step(before_s)
    libsumo.simulationStep(to_s)
    return controls
