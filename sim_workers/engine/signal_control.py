"""How decisions are carried out: what is told to a signal before each step of a rollout.

Pure: a driver sees what its signal shows and answers with a command or with nothing. That the
commands reach SUMO, before the step they belong to, is the engine's part. ``extend`` is one command
before the first step; the other kinds also act when a phase is about to end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.signals import Program
from sim_workers.engine.policies import keeps_green

__all__ = [
    "Command",
    "GreenLimits",
    "MaxPressure",
    "SignalController",
    "SignalObservation",
    "controller_of",
]

_TOLERANCE_S = 1e-6
"""SUMO's times are whole milliseconds; as floats they may be off by a rounding."""
_MAX_PRESSURE_EVERY_S = 5


@dataclass(frozen=True)
class SignalObservation:
    """What a signal shows before a step."""

    time_s: float
    phase: int
    elapsed_s: float
    """How long the phase has been shown, seconds."""
    switch_s: float
    """When it ends by itself, seconds of simulated time."""
    pressures: Callable[[], Mapping[int, int]]
    """By green phase, vehicles on its lanes minus vehicles on the lanes it leads to."""

    @property
    def ends_now(self) -> bool:
        """Whether the next step shows another phase already."""
        return self.switch_s <= self.time_s + _TOLERANCE_S


@dataclass(frozen=True)
class Command:
    """What is told to a signal: the current phase, or the one it jumps to, lasts so long."""

    remaining_s: float
    """Argument of ``trafficlight.setPhaseDuration``, seconds."""
    phase: int | None = None
    """Argument of ``trafficlight.setPhase``, called first; None stays in the current phase."""


@dataclass(frozen=True)
class GreenLimits:
    """Between what a green must last, seconds."""

    min_s: float
    max_s: float

    def is_open(self, program: Program, observation: SignalObservation) -> bool:
        """Whether this is a decision point: a green runs, between its minimum and maximum."""
        is_green = program.phases[observation.phase].is_green
        return is_green and self.min_s <= observation.elapsed_s < self.max_s


class SignalController(Protocol):
    """Carries out one decision. Asked before every step, the first included."""

    def command(self, observation: SignalObservation) -> Command | None:
        """What to do now, if anything."""

    def is_over(self, time_s: float) -> bool:
        """Whether the decision has been carried out, so that another may take over."""

    @property
    def is_silent(self) -> bool:
        """Whether no further command can come, so that nobody need ask."""


def controller_of(decision: Decision, program: Program, limits: GreenLimits) -> SignalController:
    """The driver that carries a decision out."""
    match decision:
        case Extend():
            return _ExtendController(decision, limits)
        case NextPhase():
            return _NextPhaseController(decision, program, limits)
        case Cycle():
            return _CycleController(decision, program)
        case Plan():
            return _PlanController(decision, program, limits)


class _ExtendController:
    def __init__(self, decision: Extend, limits: GreenLimits) -> None:
        self._decision = decision
        self._limits = limits
        self._over_s: float | None = None

    def command(self, observation: SignalObservation) -> Command | None:
        if self._over_s is not None:
            return None
        remaining_s = self._decision.remaining_s(
            observation.elapsed_s, self._limits.min_s, self._limits.max_s
        )
        self._over_s = observation.time_s + remaining_s
        return Command(remaining_s)

    def is_over(self, time_s: float) -> bool:
        return self._over_s is not None and _has_come(time_s, self._over_s)

    @property
    def is_silent(self) -> bool:
        return self._over_s is not None


class _NextPhaseController:
    """Waits for the green to end and for its clearance, then jumps to the phase."""

    def __init__(self, decision: NextPhase, program: Program, limits: GreenLimits) -> None:
        self._decision = decision
        self._program = program
        self._limits = limits
        self._from: int | None = None
        self._leave_s = 0.0
        self._over_s: float | None = None

    def command(self, observation: SignalObservation) -> Command | None:
        if self._over_s is not None:
            return None
        is_first = self._from is None
        if is_first:
            self._from = observation.phase
            if self._decision.next_phase == observation.phase:
                return self._show(observation, None)
            self._leave_s = observation.time_s + max(0, self._limits.min_s - observation.elapsed_s)
        if observation.phase == self._from:
            return self._leave(observation, is_first)
        return self._enter(observation) if observation.ends_now else None

    def _leave(self, observation: SignalObservation, is_first: bool) -> Command | None:
        """Ends the current green when its time has come."""
        if _has_come(observation.time_s, self._leave_s):
            return self._enter(observation)
        return Command(self._leave_s - observation.time_s) if is_first else None

    def _enter(self, observation: SignalObservation) -> Command | None:
        """Goes on to the next phase of the clearance, or from its last one to the decided phase."""
        following = self._program.successor(observation.phase)
        if self._program.phases[following].is_green:
            return self._show(observation, self._decision.next_phase)
        return Command(self._program.phases[following].duration_s, following)

    def _show(self, observation: SignalObservation, phase: int | None) -> Command:
        self._over_s = observation.time_s + self._decision.green_s
        return Command(self._decision.green_s, phase)

    def is_over(self, time_s: float) -> bool:
        return self._over_s is not None and _has_come(time_s, self._over_s)

    @property
    def is_silent(self) -> bool:
        return self._over_s is not None


class _CycleController:
    """Gives each green its seconds when it starts, once."""

    def __init__(self, decision: Cycle, program: Program) -> None:
        self._program = program
        self._greens = {green.phase: green.green_s for green in decision.greens}
        self._over_s = 0.0

    def command(self, observation: SignalObservation) -> Command | None:
        following = self._program.successor(observation.phase)
        if not observation.ends_now or following not in self._greens:
            return None
        green_s = self._greens.pop(following)
        self._over_s = observation.time_s + green_s
        return Command(green_s, following)

    def is_over(self, time_s: float) -> bool:
        return not self._greens and _has_come(time_s, self._over_s)

    @property
    def is_silent(self) -> bool:
        return not self._greens


class _PlanController:
    """Takes a step at each decision point of its grid of moments."""

    def __init__(self, plan: Plan, program: Program, limits: GreenLimits) -> None:
        self._steps: Iterator[Extend] = iter(
            [Extend(extend=step.extend, extend_s=plan.extend_s) for step in plan.steps]
        )
        self._left = len(plan.steps)
        self._every_s = plan.extend_s
        self._program = program
        self._limits = limits
        self._due_s: float | None = None
        self._over_s = 0.0

    def command(self, observation: SignalObservation) -> Command | None:
        is_first = self._due_s is None
        if not self._left or not (is_first or _has_come(observation.time_s, self._due_s or 0.0)):
            return None
        self._due_s = (observation.time_s if self._due_s is None else self._due_s) + self._every_s
        if not is_first and not self._limits.is_open(self._program, observation):
            return None
        step = next(self._steps)
        self._left -= 1
        remaining_s = step.remaining_s(
            observation.elapsed_s, self._limits.min_s, self._limits.max_s
        )
        self._over_s = observation.time_s + remaining_s
        return Command(remaining_s)

    def is_over(self, time_s: float) -> bool:
        return not self._left and _has_come(time_s, self._over_s)

    @property
    def is_silent(self) -> bool:
        return not self._left


class MaxPressure:
    """Runs a signal by :func:`~sim_workers.engine.policies.keeps_green` every five seconds.

    The same grid of decision points as a plan's, counted from when it is first asked.
    """

    def __init__(self, program: Program, limits: GreenLimits) -> None:
        self._program = program
        self._limits = limits
        self._due_s: float | None = None

    def command(self, observation: SignalObservation) -> Command | None:
        """Extends or ends the current green, where there is something to decide."""
        if self._due_s is not None and not _has_come(observation.time_s, self._due_s):
            return None
        self._due_s = (
            observation.time_s if self._due_s is None else self._due_s
        ) + _MAX_PRESSURE_EVERY_S
        if not self._limits.is_open(self._program, observation):
            return None
        keep = keeps_green(observation.phase, observation.pressures())
        decision = Extend(extend=keep, extend_s=_MAX_PRESSURE_EVERY_S)
        limits = self._limits
        return Command(decision.remaining_s(observation.elapsed_s, limits.min_s, limits.max_s))

    def is_over(self, time_s: float) -> bool:
        """Never."""
        return False

    @property
    def is_silent(self) -> bool:
        """Never."""
        return False


def _has_come(time_s: float, moment_s: float) -> bool:
    return time_s >= moment_s - _TOLERANCE_S
