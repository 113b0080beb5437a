"""One episode in this process: carries out decisions and counts every second.

All commands to signals go through one place, which writes them down: the list of these commands,
and nothing else, produces the same trips in plain SUMO.
"""

import math
from collections.abc import Callable, Mapping

import libsumo
from libsumo import _libsumo

from shared.errors import InvalidDecision, RolloutRejected
from shared.wire.episodes import (
    ControlAction,
    EpisodeDecision,
    InvalidInfo,
)
from sim_workers.engine.episodes.control import Call, SignalDriver, driver_of
from sim_workers.engine.episodes.messages import (
    Begin,
    PhaseRule,
    SignalSample,
    SignalSeen,
    Stepped,
    Trial,
)
from sim_workers.engine.episodes.readings import (
    GreenCounter,
    GreenLanes,
    SignalSampler,
    greens_of,
    lane_vehicles,
)
from sim_workers.engine.episodes.rules import decide_by_rule
from sim_workers.engine.metrics import PassedVehicles
from sim_workers.engine.readings import network_delay_veh, running_program, signal_state

__all__ = ["EpisodeRun"]

# As in sim_workers.engine.readings.
_now_s = _libsumo.simulation_getTime
_phase = _libsumo.trafficlight_getPhase
_program = _libsumo.trafficlight_getProgram
_step = _libsumo.simulation_step

_TOLERANCE_S = 1e-6
"""SUMO's times are whole milliseconds; as floats they may be off by a rounding error."""
_ONLINE = "online"
"""SUMO's name for a program that consists of single states of links."""


class EpisodeRun:
    """Drives signals of the simulation in this process.

    Raises:
        InvalidRequest: ``missing_transition``: a program lacks what the control needs.
        TraCIException: The network has no such traffic light.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._drivers: dict[str, SignalDriver] = {}
        self._greens: dict[str, dict[int, GreenLanes]] = {}
        self._passed = {tls: PassedVehicles() for tls in begin.signals if begin.with_passed}
        for tls_id in begin.signals:
            program, state = running_program(tls_id), signal_state(tls_id)
            elapsed_s = begin.elapsed_s.get(tls_id, state.elapsed_s)
            since_s = _now_s() - elapsed_s
            driver = driver_of(tls_id, program, state.phase, since_s, begin.control)
            self._drivers[tls_id] = driver
            self._greens[tls_id] = greens_of(program)
        self._samplers = {tls: SignalSampler(tls, begin.terms) for tls in begin.signals}
        self._samples_lanes = bool(set(begin.terms) - {"delay"})
        self._counter = GreenCounter(begin.counted)
        self._told: list[tuple[float, str, Call]] = []
        self._plan()
        self._is_fine = libsumo.simulation.getDeltaT() < 1
        self.each_second: Callable[[], None] | None = None
        """Called after each second of a step, to look."""

    def step(self, decisions: Mapping[str, EpisodeDecision], to_s: float) -> Stepped:
        """Carries out decisions and steps until ``to_s``."""
        invalid, kept = self._decide(decisions)
        delays_veh: list[float] = []
        while _now_s() < to_s:
            self._step_second(min(math.floor(_now_s()) + 1.0, to_s))
            if self.each_second is not None:
                self.each_second()
            if "delay" in self._begin.terms:
                delays_veh.append(network_delay_veh())
            if self._samples_lanes:
                for sampler in self._samplers.values():
                    sampler.add()
        seconds = max(1, len(delays_veh))
        delay_veh = math.fsum(delays_veh) / seconds if "delay" in self._begin.terms else None
        samples = {tls: sampler.take() for tls, sampler in self._samplers.items()}
        return self._answer(delay_veh, samples, invalid, kept)

    def look(self) -> Stepped:
        """The state of the episode before its first step."""
        return self._answer(None, {}, {}, ())

    def roll(
        self, candidate: Mapping[str, EpisodeDecision], horizon_s: int, base: PhaseRule
    ) -> Trial:
        """Carries out a candidate and steps on, with the base policy deciding at each interval.

        Raises:
            InvalidDecision: One of its decisions breaks a rule.
        """
        start_s, begun, delays_veh = _now_s(), self._counter.queue_sum_veh, []
        interval_s = self._begin.control.interval_s
        invalid, _ = self._decide(candidate)
        for tls_id, why in invalid.items():
            raise InvalidDecision(f"signal {tls_id}: {why.message}", why.code)
        for second in range(horizon_s):
            if second and second % interval_s == 0:
                self._decide(self._by_rule(base))
            self._step_second(start_s + second + 1)
            delays_veh.append(network_delay_veh())
        return Trial(
            delay_veh=math.fsum(delays_veh) / horizon_s,
            queue_veh=(self._counter.queue_sum_veh - begun) / horizon_s,
        )

    def rehearse(self, base: PhaseRule) -> Trial:
        """Reads what a candidate's rollout reads, without moving anything."""
        self._by_rule(base)
        return Trial(delay_veh=network_delay_veh(), queue_veh=0)

    def _by_rule(self, rule: PhaseRule) -> dict[str, EpisodeDecision]:
        """What a rule decides at each signal now."""
        found = {}
        for tls_id, driver in self._drivers.items():
            legal = driver.legal(_now_s())
            if not legal or rule == "keep":
                continue
            decision = decide_by_rule(rule, driver.phase, self._greens[tls_id], legal)
            if decision is not None:
                found[tls_id] = decision
        return found

    def _decide(
        self, decisions: Mapping[str, EpisodeDecision]
    ) -> tuple[dict[str, InvalidInfo], tuple[str, ...]]:
        invalid: dict[str, InvalidInfo] = {}
        kept = []
        time_s = _now_s()
        for tls_id, driver in self._drivers.items():
            self._check_program(driver)
            decision = decisions.get(tls_id)
            try:
                if decision is not None:
                    self._obey(driver, driver.decide(decision, time_s), time_s)
                    continue
            except InvalidDecision as exc:
                invalid[tls_id] = InvalidInfo(code=exc.code, message=exc.message)
            kept.append(tls_id)
            self._obey(driver, driver.keep(time_s), time_s)
        self._plan()
        return invalid, tuple(kept)

    def _obey(self, driver: SignalDriver, calls: list[Call], time_s: float) -> None:
        """Sends a command to a signal, and writes it down."""
        light, tls_id = libsumo.trafficlight, driver.tls_id
        for call in calls:
            getattr(light, call.name)(tls_id, call.argument)
            self._told.append((time_s, tls_id, call))

    def _plan(self) -> None:
        """Notes which drivers must be asked or told of something before the next decisions."""
        drivers = self._drivers.values()
        self._due_s = min((driver.due_s for driver in drivers), default=math.inf)
        self._is_waiting = any(driver.is_waiting for driver in drivers)
        self._own = tuple(driver for driver in drivers if driver.is_own)

    def _step_second(self, to_s: float) -> None:
        """Steps until a time at most one second away, and counts."""
        while (time_s := _now_s()) < to_s:
            if self._is_waiting or time_s >= self._due_s - _TOLERANCE_S:
                for driver in self._drivers.values():
                    self._obey(driver, driver.before_step(time_s), time_s)
                self._plan()
            # Step by step if a phase may change within the second, to know when it does.
            _step(0 if self._is_fine else min(to_s, self._due_s))
            for driver in self._own:
                driver.see(_phase(driver.tls_id), time_s)
        self._counter.add()
        for tls_id, passed in self._passed.items():
            driver = self._drivers[tls_id]
            phase = driver.program.phases[driver.phase]
            passed.update(driver.phase, phase, lane_vehicles(self._samplers[tls_id].incoming))

    def _check_program(self, driver: SignalDriver) -> None:
        """Checks that a signal still runs the program with which it began.

        Raises:
            RolloutRejected: ``program_switched``: its phases have a different meaning now.
        """
        running = _program(driver.tls_id)
        wanted = driver.program.program_id if driver.is_own else _ONLINE
        if running != wanted:
            raise RolloutRejected(
                f"signal {driver.tls_id} changed from program {wanted!r} to {running!r}",
                "program_switched",
            )

    def _answer(
        self,
        delay_veh: float | None,
        samples: dict[str, SignalSample],
        invalid: dict[str, InvalidInfo],
        kept: tuple[str, ...],
    ) -> Stepped:
        told, self._told = self._told, []
        counter, time_s = self._counter, _now_s()
        return Stepped(
            time_s=time_s,
            signals={tls: self._seen(tls, driver) for tls, driver in self._drivers.items()},
            actions=tuple(
                ControlAction(
                    time_s=moment_s, tls_id=tls, call=call.name, arguments=(call.argument,)
                )
                for moment_s, tls, call in told
            ),
            invalid=invalid,
            kept=kept,
            samples=samples,
            delay_veh=delay_veh,
            queue_sum_veh=counter.queue_sum_veh,
            seconds=counter.seconds,
            switches=counter.switches,
            greens=counter.take(),
        )

    def _seen(self, tls_id: str, driver: SignalDriver) -> SignalSeen:
        passed = self._passed.get(tls_id)
        return SignalSeen(
            phase=driver.phase,
            elapsed_s=driver.elapsed_s(_now_s()),
            legal=driver.legal(_now_s()),
            counts={
                index: green.counts(0 if passed is None else passed.of_phase(index))
                for index, green in self._greens[tls_id].items()
            },
        )
