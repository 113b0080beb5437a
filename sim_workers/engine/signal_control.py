"""How decisions are carried out: the commands to a signal before each step of a rollout.

Pure: a decision is a generator that reads what its signal shows. It yields commands, which are
obeyed at once, and None to be asked again before the next step; when it returns, no more commands
follow. The engine sees to it that the commands reach SUMO before the step to which they belong.
``extend`` is one command before the first step; the other kinds also act when a phase is about to
end.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.rewards import FollowUp
from shared.signals import Program
from sim_workers.engine.policies import greedy_phase, keeps_green

__all__ = [
    "Command",
    "Control",
    "SignalView",
    "carry_out",
    "commands_of",
    "greedy",
    "max_pressure",
]

_TOLERANCE_S = 1e-6
"""SUMO's times are whole milliseconds; as floats they may be off by a rounding error."""
_MAX_PRESSURE_EVERY_S = 5
_GREEDY_EVERY_S = 10


@dataclass(frozen=True)
class Command:
    """A command to a signal: how long the current phase, or the one to which it jumps, lasts."""

    remaining_s: float
    """Argument of ``trafficlight.setPhaseDuration``, seconds."""
    phase: int | None = None
    """Argument of ``trafficlight.setPhase``, called first; None stays in the current phase."""


Control = Generator[Command | None, None, float]
"""Returns when the last green that it commanded ends, in seconds of simulated time."""


@dataclass
class SignalView:
    """What a signal shows before a step; kept up to date by whatever runs the decision."""

    program: Program
    min_green_s: float
    max_green_s: float
    pressures: Callable[[], Mapping[int, int]]
    """By green phase, vehicles on its lanes minus vehicles on the lanes to which it leads."""
    vehicles: Callable[[], Mapping[int, int]]
    """By green phase, vehicles on its lanes."""
    phase: int
    time_s: float = 0
    elapsed_s: float = 0
    """How long the phase has been shown, in seconds."""
    switch_s: float = 0
    """When it ends by itself, in seconds of simulated time."""

    def has_come(self, moment_s: float) -> bool:
        """Whether this time has been reached."""
        return self.time_s >= moment_s - _TOLERANCE_S

    @property
    def ends_now(self) -> bool:
        """Whether the next step already shows another phase."""
        return self.has_come(self.switch_s)

    @property
    def is_green(self) -> bool:
        """Whether the current phase is a green."""
        return self.program.phases[self.phase].is_green

    @property
    def is_decision_point(self) -> bool:
        """Whether the current phase is a green between its minimum and maximum."""
        return self.is_green and self.min_green_s <= self.elapsed_s < self.max_green_s

    def remaining_s(self, decision: Extend) -> float:
        """How much longer the green lasts under a decision made now, in seconds."""
        return decision.remaining_s(self.elapsed_s, self.min_green_s, self.max_green_s)


def commands_of(view: SignalView, decision: Decision, follow_up: FollowUp) -> Control:
    """Carries out a decision, then controls the signal for good, unless the program does."""
    over_s = yield from carry_out(view, decision)
    if follow_up == "program":
        return over_s
    yield None
    while not view.has_come(over_s):
        yield None
    run = greedy if follow_up == "greedy" else max_pressure
    return (yield from run(view))


def carry_out(view: SignalView, decision: Decision) -> Control:
    """Carries out a decision."""
    match decision:
        case Extend():
            return _plan(view, (decision,), decision.extend_s)
        case NextPhase():
            return _next_phase(view, decision)
        case Cycle():
            return _cycle(view, decision)
        case Plan(steps=steps, extend_s=extend_s):
            extends = [Extend(extend=step.extend, extend_s=extend_s) for step in steps]
            return _plan(view, extends, extend_s)


def _plan(view: SignalView, steps: Sequence[Extend], every_s: int) -> Control:
    """Takes one step of a plan now, and the others at the following decision points."""
    over_s, due_s = view.time_s, view.time_s + every_s
    for number, step in enumerate(steps):
        if number:
            yield None
            due_s = yield from _decision_point(view, due_s, every_s)
        over_s = view.time_s + view.remaining_s(step)
        yield Command(view.remaining_s(step))
    return over_s


def max_pressure(view: SignalView) -> Control:
    """Controls a signal by :func:`~sim_workers.engine.policies.keeps_green` every five seconds.

    Decides at the same times as a plan, counted from when it begins.
    """
    due_s = view.time_s
    while True:
        due_s = yield from _decision_point(view, due_s, _MAX_PRESSURE_EVERY_S)
        keep = keeps_green(view.phase, view.pressures())
        yield Command(view.remaining_s(Extend(extend=keep, extend_s=_MAX_PRESSURE_EVERY_S)))
        yield None


def greedy(view: SignalView) -> Control:
    """Shows the phase of :func:`~sim_workers.engine.policies.greedy_phase` every ten seconds.

    Decides at fixed intervals, counted from when it begins, if the current green has lasted its
    minimum; another green is reached through the program's clearance. Otherwise the green
    continues: it has no maximum.
    """
    due_s = view.time_s
    while True:
        is_due = view.has_come(due_s)
        while view.has_come(due_s):
            due_s += _GREEDY_EVERY_S
        if is_due and view.is_green:
            phase = view.phase
            if view.elapsed_s >= view.min_green_s - _TOLERANCE_S:
                phase = greedy_phase(view.phase, view.vehicles())
            if phase == view.phase:
                yield Command(due_s - view.time_s)
            else:
                yield from _clearance(view, view.phase, view.time_s)
                while view.has_come(due_s):
                    due_s += _GREEDY_EVERY_S
                yield Command(due_s - view.time_s, phase)
        elif not view.is_green and view.ends_now:
            following = view.program.successor(view.phase)
            if view.program.phases[following].is_green:
                yield Command(due_s - view.time_s, following)
        yield None


def _decision_point(view: SignalView, due_s: float, every_s: int) -> Generator[None, None, float]:
    """Waits for a regular time that is a decision point; returns when the next one is due."""
    while True:
        if view.has_come(due_s):
            due_s += every_s
            if view.is_decision_point:
                return due_s
        yield None


def _next_phase(view: SignalView, decision: NextPhase) -> Control:
    """Waits for the end of the green and its clearance, then jumps to the phase."""
    phase = None
    if decision.next_phase != view.phase:
        phase, begun = decision.next_phase, view.phase
        leave_s = view.time_s + max(0, view.min_green_s - view.elapsed_s)
        if not view.has_come(leave_s):
            yield Command(leave_s - view.time_s)
        yield from _clearance(view, begun, leave_s)
    yield Command(decision.green_s, phase)
    return view.time_s + decision.green_s


def _clearance(
    view: SignalView, begun: int, leave_s: float
) -> Generator[Command | None, None, None]:
    """Goes from a green that ends at ``leave_s`` through its clearance; returns when that ends."""
    while True:
        if view.has_come(leave_s) if view.phase == begun else view.ends_now:
            following = view.program.successor(view.phase)
            if view.program.phases[following].is_green:
                return
            yield Command(view.program.phases[following].duration_s, following)
        yield None


def _cycle(view: SignalView, decision: Cycle) -> Control:
    """Gives each green its duration when it starts, once."""
    greens, over_s = {green.phase: green.green_s for green in decision.greens}, view.time_s
    while True:
        following = view.program.successor(view.phase)
        if view.ends_now and following in greens:
            green_s = greens.pop(following)
            over_s = view.time_s + green_s
            yield Command(green_s, following)
            if not greens:
                return over_s
        yield None
