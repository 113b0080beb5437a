"""What each decision does to a traffic light, in the words of the contract.

The counterpart of :mod:`sim_workers.engine.signal_control`, written down once more on purpose. A
decision is a generator that runs up to its next ``yield`` before every step of the simulation.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.signals import SignalState

__all__ = ["HALF_MS", "Deciding", "Greens", "Light", "carry_out"]

HALF_MS = 0.0005
"""SUMO's times are whole milliseconds; sums of seconds may miss them by a rounding, seconds."""


@dataclass(frozen=True)
class Greens:
    """Between what a green of a signal must last, seconds."""

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
        """The phase that is shown, until a step shows another."""
        return int(self._light.getPhase(self._tls_id))

    @property
    def elapsed_s(self) -> float:
        """How long the phase has been shown: right, because nothing was ever restored here."""
        return float(self._light.getSpentDuration(self._tls_id))

    def state(self) -> SignalState:
        """What it is doing."""
        program = str(self._light.getProgram(self._tls_id))
        return SignalState(program_id=program, phase=self.phase, elapsed_s=self.elapsed_s)

    def is_green(self, phase: int) -> bool:
        """Whether a phase of the current program shows ``G`` or ``g``, and no ``y`` or ``u``."""
        letters = self._phases()[phase].state
        return ("G" in letters or "g" in letters) and not set(letters) & set("yYuU")

    def length_s(self, phase: int) -> float:
        """How long the program shows a phase, seconds."""
        return float(self._phases()[phase].duration)

    @property
    def following(self) -> int:
        """The phase that the program shows after the current one."""
        phases = self._phases()
        named = phases[self.phase].next
        return int(named[0]) if named else (self.phase + 1) % len(phases)

    @property
    def ends_now(self) -> bool:
        """Whether the coming step shows the next phase already."""
        return float(self._light.getNextSwitch(self._tls_id)) <= self.now_s + HALF_MS

    def last(self, seconds: float) -> None:
        """Lets the current phase last so much longer."""
        self._light.setPhaseDuration(self._tls_id, seconds)

    def show(self, phase: int, seconds: float) -> None:
        """Goes to a phase, for so long."""
        self._light.setPhase(self._tls_id, phase)
        self._light.setPhaseDuration(self._tls_id, seconds)

    def _phases(self) -> Any:  # noqa: ANN401  traci is untyped
        return self._programs[self._light.getProgram(self._tls_id)]


Deciding = Generator[None, None, None]
"""A decision that is being carried out."""


def carry_out(light: Light, decision: Decision, greens: Greens) -> Deciding:
    """Begins to carry a decision out at a light."""
    match decision:
        case Extend():
            return _extend(light, decision, greens)
        case NextPhase():
            return _next_phase(light, decision, greens)
        case Cycle():
            return _cycle(light, decision)
        case Plan():
            return _plan(light, decision, greens)


def _extend(light: Light, decision: Extend, greens: Greens) -> Deciding:
    """Yes: so many more seconds, cut at the longest green. No: it ends, once it has its minimum."""
    _keep_or_end(light, decision.extend, decision.extend_s, greens)
    yield


def _keep_or_end(light: Light, keep: bool, extend_s: int, greens: Greens) -> None:
    wanted_s = min(extend_s, greens.max_s - light.elapsed_s)
    light.last(max(0, wanted_s if keep else greens.min_s - light.elapsed_s))


def _next_phase(light: Light, decision: NextPhase, greens: Greens) -> Deciding:
    """The clearance after the current green in full, then the phase; the same green just lasts.

    Phase by phase, because a program that follows the traffic might keep its green otherwise.
    """
    if decision.next_phase == light.phase:
        light.last(decision.green_s)
        return
    leave_s = light.now_s + max(0, greens.min_s - light.elapsed_s)
    light.last(leave_s - light.now_s)
    while light.now_s < leave_s - HALF_MS:
        yield
    while not light.is_green(light.following):
        light.show(light.following, light.length_s(light.following))
        while not light.ends_now:
            yield
    light.show(decision.next_phase, decision.green_s)


def _cycle(light: Light, decision: Cycle) -> Deciding:
    """Each green, when it starts next, lasts what was decided for it; once."""
    left_s = {green.phase: green.green_s for green in decision.greens}
    while left_s:
        if light.ends_now and light.following in left_s:
            phase = light.following
            light.show(phase, left_s.pop(phase))
        yield


def _plan(light: Light, decision: Plan, greens: Greens) -> Deciding:
    """An *extend* at each decision point of the grid; what is none uses up no step."""
    steps = [step.extend for step in decision.steps]
    _keep_or_end(light, steps.pop(0), decision.extend_s, greens)
    due_s = light.now_s + decision.extend_s
    while steps:
        yield
        if light.now_s < due_s - HALF_MS:
            continue
        due_s += decision.extend_s
        if light.is_green(light.phase) and greens.min_s <= light.elapsed_s < greens.max_s:
            _keep_or_end(light, steps.pop(0), decision.extend_s, greens)
