"""What each decision does to a traffic light, following the contract.

The counterpart of :mod:`sim_workers.engine.signal_control`, deliberately written independently of
it. A decision is a generator that runs up to its next ``yield`` before every simulation step.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.rewards import FollowUp
from shared.signals import SignalState

__all__ = ["HALF_MS", "Deciding", "Greens", "Light", "carry_out"]

HALF_MS = 0.0005
"""Half a millisecond, seconds. SUMO's times are whole milliseconds, which sums of seconds may miss
by a rounding error."""


@dataclass(frozen=True)
class Greens:
    """The minimum and maximum duration of a signal's greens, seconds."""

    min_s: float
    max_s: float


class Light:
    """One traffic light of a running simulation."""

    def __init__(self, simulation: Any, tls_id: str) -> None:  # noqa: ANN401  traci is untyped
        self._simulation = simulation
        self._light = simulation.trafficlight
        self._tls_id = tls_id
        self._programs = {p.programID: p.phases for p in self._light.getAllProgramLogics(tls_id)}

    @property
    def now_s(self) -> float:
        """Simulated time, seconds."""
        return float(self._simulation.simulation.getTime())

    @property
    def phase(self) -> int:
        """The current phase, until a step switches to another."""
        return int(self._light.getPhase(self._tls_id))

    @property
    def elapsed_s(self) -> float:
        """How long the phase has lasted; reliable because nothing is ever restored here."""
        return float(self._light.getSpentDuration(self._tls_id))

    def state(self) -> SignalState:
        """The current state of the light."""
        program = str(self._light.getProgram(self._tls_id))
        return SignalState(program_id=program, phase=self.phase, elapsed_s=self.elapsed_s)

    def is_green(self, phase: int) -> bool:
        """Whether a phase of the current program shows ``G`` or ``g``, and no ``y`` or ``u``."""
        letters = self._phases()[phase].state
        return ("G" in letters or "g" in letters) and not set(letters) & set("yYuU")

    def length_s(self, phase: int) -> float:
        """The program's duration of a phase, seconds."""
        return float(self._phases()[phase].duration)

    def greens(self) -> list[int]:
        """The green phases of the current program."""
        return [phase for phase in range(len(self._phases())) if self.is_green(phase)]

    def waiting(self, phase: int) -> int:
        """Vehicles on the lanes that have green in a phase, each lane counted once."""
        return self._vehicles(phase, 0)

    def beyond(self, phase: int) -> int:
        """Vehicles on the lanes that the phase leads to, each lane counted once."""
        return self._vehicles(phase, 1)

    @property
    def following(self) -> int:
        """The phase that follows the current one in the program."""
        phases = self._phases()
        named = phases[self.phase].next
        return int(named[0]) if named else (self.phase + 1) % len(phases)

    @property
    def ends_now(self) -> bool:
        """Whether the next step already switches to the next phase."""
        return float(self._light.getNextSwitch(self._tls_id)) <= self.now_s + HALF_MS

    def last(self, seconds: float) -> None:
        """Sets the remaining duration of the current phase."""
        self._light.setPhaseDuration(self._tls_id, seconds)

    def show(self, phase: int, seconds: float) -> None:
        """Switches to a phase for a duration."""
        self._light.setPhase(self._tls_id, phase)
        self._light.setPhaseDuration(self._tls_id, seconds)

    def _vehicles(self, phase: int, end: int) -> int:
        links = zip(
            self._phases()[phase].state, self._light.getControlledLinks(self._tls_id), strict=False
        )
        lanes = {link[end] for letter, group in links if letter in "Gg" for link in group}
        return sum(self._simulation.lane.getLastStepVehicleNumber(lane) for lane in lanes)

    def _phases(self) -> Any:  # noqa: ANN401  traci is untyped
        return self._programs[self._light.getProgram(self._tls_id)]


Deciding = Generator[None, None, None]
"""A decision being carried out, and what follows it."""
_Carried = Generator[None, None, float]
"""Returns the time at which the last decided green is over, seconds of simulated time."""


def carry_out(
    light: Light, decision: Decision, greens: Greens, follow_up: FollowUp = "program"
) -> Deciding:
    """Carries out a decision at a light; then its follow-up policy takes over, or its program."""
    over_s = yield from _carry_out(light, decision, greens)
    if follow_up == "program":
        return
    yield
    while light.now_s < over_s - HALF_MS:
        yield
    yield from (_max_pressure if follow_up == "max_pressure" else _greedy)(light, greens)


def _carry_out(light: Light, decision: Decision, greens: Greens) -> _Carried:
    match decision:
        case Extend():
            return _keep_or_end(light, decision.extend, decision.extend_s, greens)
        case NextPhase():
            return (yield from _next_phase(light, decision, greens))
        case Cycle():
            return (yield from _cycle(light, decision))
        case Plan():
            return (yield from _plan(light, decision, greens))


def _keep_or_end(light: Light, keep: bool, extend_s: int, greens: Greens) -> float:
    """Yes: extends the green, up to its maximum. No: ends it, once it has reached its minimum."""
    wanted_s = min(extend_s, greens.max_s - light.elapsed_s)
    left_s = max(0, wanted_s if keep else greens.min_s - light.elapsed_s)
    light.last(left_s)
    return light.now_s + left_s


def _next_phase(light: Light, decision: NextPhase, greens: Greens) -> _Carried:
    """The full clearance after the current green, then the phase; the same green just goes on."""
    if decision.next_phase == light.phase:
        light.last(decision.green_s)
        return light.now_s + decision.green_s
    leave_s = light.now_s + max(0, greens.min_s - light.elapsed_s)
    light.last(leave_s - light.now_s)
    while light.now_s < leave_s - HALF_MS:
        yield
    yield from _clear(light)
    light.show(decision.next_phase, decision.green_s)
    return light.now_s + decision.green_s


def _clear(light: Light) -> Deciding:
    """All phases of the program up to its next green.

    Phase by phase, because a program that reacts to traffic might otherwise keep its green.
    """
    while not light.is_green(light.following):
        light.show(light.following, light.length_s(light.following))
        while not light.ends_now:
            yield


def _cycle(light: Light, decision: Cycle) -> _Carried:
    """Each green lasts as decided the next time it starts, once."""
    left_s = {green.phase: green.green_s for green in decision.greens}
    while True:
        if light.ends_now and light.following in left_s:
            phase = light.following
            green_s = left_s.pop(phase)
            light.show(phase, green_s)
            if not left_s:
                return light.now_s + green_s
        yield


def _plan(light: Light, decision: Plan, greens: Greens) -> _Carried:
    """An *extend* at each decision point of the time grid; other moments use up no step."""
    steps = [step.extend for step in decision.steps]
    over_s = _keep_or_end(light, steps.pop(0), decision.extend_s, greens)
    due_s = light.now_s + decision.extend_s
    while steps:
        yield
        if light.now_s < due_s - HALF_MS:
            continue
        due_s += decision.extend_s
        if light.is_green(light.phase) and greens.min_s <= light.elapsed_s < greens.max_s:
            over_s = _keep_or_end(light, steps.pop(0), decision.extend_s, greens)
    return over_s


def _max_pressure(light: Light, greens: Greens) -> Deciding:
    """Every five seconds, a green within its bounds goes on unless another has more pressure."""
    begun_s, moments = light.now_s, 0
    while True:
        if light.now_s >= begun_s + 5 * moments - HALF_MS:
            moments += 1
            if light.is_green(light.phase) and greens.min_s <= light.elapsed_s < greens.max_s:
                pressures = {g: light.waiting(g) - light.beyond(g) for g in light.greens()}
                keep = pressures[light.phase] == max(pressures.values())
                _keep_or_end(light, keep, 5, greens)
        yield


def _greedy(light: Light, greens: Greens) -> Deciding:
    """Every ten seconds, switches to the green with most vehicles; in between it stays.

    Ties go to the current green, then to the lowest index. A green is not ended before its minimum,
    and a clearance is not cut short: the next chance comes ten seconds later.
    """
    begun_s, moments = light.now_s, 0
    while True:
        is_moment = light.now_s >= begun_s + 10 * moments - HALF_MS
        if is_moment:
            moments = _passed(begun_s, light)
        if is_moment and light.is_green(light.phase):
            fullest = light.phase
            if light.elapsed_s >= greens.min_s - HALF_MS:
                fullest = min(
                    light.greens(), key=lambda g: (-light.waiting(g), g != light.phase, g)
                )
            if fullest != light.phase:
                yield from _clear(light)
                moments = _passed(begun_s, light)
                light.show(fullest, begun_s + 10 * moments - light.now_s)
            else:
                light.last(begun_s + 10 * moments - light.now_s)
        elif light.ends_now and not light.is_green(light.phase) and light.is_green(light.following):
            light.show(light.following, begun_s + 10 * moments - light.now_s)
        yield


def _passed(begun_s: float, light: Light) -> int:
    """How many of the moments, one every ten seconds, have passed by now, including the first."""
    return int((light.now_s - begun_s + HALF_MS) // 10) + 1
