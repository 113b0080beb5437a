"""How a signal is driven through an episode: which commands it gets, and when.

Pure. A driver is asked for its commands when decisions are due and before every step; the engine
sees to it that they reach SUMO. A single decision at the start of a rollout is the business of
:mod:`sim_workers.engine.signal_control`.

============ =============== ====================================================================
control      transition      between two greens
============ =============== ====================================================================
``extend``                   the program runs as usual; decisions only set how long a green lasts
``phase``    ``program``     the phases that follow the green in the program, up to the next
                             green, each in full; then the chosen green
``phase``    ``yellow``      the links that lose their green show yellow, the others keep their
                             state; then the chosen green
============ =============== ====================================================================

The rule for yellow is that of RESCO (https://github.com/Pi-Star-Lab/RESCO) and sumo-rl
(https://github.com/LucasAlegre/sumo-rl, ``traffic_signal.py``): yellow lasts equally long whether
or not a link loses its green. A chosen green phase is held until another one is chosen.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from shared.decisions import Extend
from shared.errors import InvalidDecision, InvalidRequest
from shared.signals import Program
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeDecision,
    ExtendControl,
    ExtendGreen,
    PhaseControl,
    ShowPhase,
    YellowTransition,
)

__all__ = ["Call", "SignalDriver", "check_transition", "clearance", "driver_of", "yellow_state"]

_TOLERANCE_S = 1e-6
"""SUMO's times are whole milliseconds; as floats they may be off by a rounding error."""
_HELD_S = 1_000_000
"""How long a held green lasts, in seconds: longer than any episode."""
_NEVER_S = float("inf")


class Call(NamedTuple):
    """A command to a signal: a TraCI function and its argument."""

    name: Literal["setPhase", "setPhaseDuration", "setRedYellowGreenState"]
    argument: int | float | str


def yellow_state(green: str, following: str) -> str:
    """The state between two greens: yellow for each link that loses its green.

    >>> yellow_state("GGgrr", "rGrGG")
    'yGyrr'
    """
    return "".join(
        "y" if now in "Gg" and then not in "Gg" else now
        for now, then in zip(green, following, strict=True)
    )


def clearance(program: Program, green: int) -> tuple[int, ...]:
    """The phases between a green and the next one.

    Empty if the next phase is already a green, or if no other green ever follows.
    """
    found: list[int] = []
    phase = program.successor(green)
    while not program.phases[phase].is_green:
        if phase in found:
            return ()
        found.append(phase)
        phase = program.successor(phase)
    return tuple(found)


def check_transition(tls_id: str, program: Program, control: EpisodeControl) -> None:
    """Checks that a signal's program has what a control's transitions need.

    Raises:
        InvalidRequest: ``missing_transition``: a green has no clearance after it, and another one
            takes the green from one of its links.
    """
    if not isinstance(control, PhaseControl) or isinstance(control.transition, YellowTransition):
        return
    greens = program.greens()
    for green in greens:
        shown = program.phases[green].state
        losing = [other for other in greens if "y" in yellow_state(shown, _state(program, other))]
        if losing and not clearance(program, green):
            raise InvalidRequest(
                f"the program of signal {tls_id} has no clearance after its green phase {green}, "
                f"and phase {losing[0]} takes the green from some of its links; use the "
                'transition {"kind": "yellow"}',
                "missing_transition",
            )


def _state(program: Program, phase: int) -> str:
    return program.phases[phase].state


class SignalDriver(ABC):
    """A signal under control. Whoever steps the simulation reports what the signal showed.

    Args:
        tls_id: The signal.
        program: The program that it runs.
        phase: The current phase.
        since_s: When it began, in seconds of simulated time.
    """

    def __init__(self, tls_id: str, program: Program, phase: int, since_s: float) -> None:
        self.tls_id = tls_id
        self.program = program
        self.phase = phase
        self.since_s = since_s
        self.due_s = _NEVER_S
        """When it must be asked again at the latest, in seconds of simulated time."""
        self.greens = program.greens()
        """The green phases of its program."""

    @property
    def is_green(self) -> bool:
        """Whether the signal is showing a green."""
        return self.phase in self.greens

    @property
    def is_own(self) -> bool:
        """Whether SUMO is showing phases of the signal's own program."""
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether it must be asked before every step, because SUMO may show a green by itself."""
        return False

    def elapsed_s(self, time_s: float) -> float:
        """How long the phase has been shown, in seconds."""
        return time_s - self.since_s

    def see(self, shown: int, before_s: float) -> None:
        """Records the phase of the step that began at ``before_s``."""
        if shown != self.phase:
            self.phase, self.since_s = shown, before_s

    @abstractmethod
    def legal(self, time_s: float) -> tuple[EpisodeDecision, ...]:
        """The decisions that are legal now."""

    @abstractmethod
    def decide(self, decision: EpisodeDecision, time_s: float) -> list[Call]:
        """Starts to carry out a decision.

        Raises:
            InvalidDecision: It breaks a rule: ``wrong_kind``, ``not_green``, ``unknown_phase``,
                ``below_min_green`` or ``above_max_green``.
        """

    @abstractmethod
    def keep(self, time_s: float) -> list[Call]:
        """Continues without a decision."""

    def before_step(self, time_s: float) -> list[Call]:
        """The commands due before the step that begins now."""
        return []

    def _wrong_kind(self, wanted: str, decision: EpisodeDecision) -> InvalidDecision:
        return InvalidDecision(
            f"signal {self.tls_id} is steered by decisions of the kind {wanted}, this is "
            f"{decision.kind}",
            "wrong_kind",
        )

    def _not_green(self) -> InvalidDecision:
        return InvalidDecision(
            f"signal {self.tls_id} shows no green now; nothing can be decided", "not_green"
        )


class ExtendDriver(SignalDriver):
    """Greens in the program's order; a decision sets how much longer the current one lasts."""

    def __init__(
        self, tls_id: str, program: Program, phase: int, since_s: float, control: ExtendControl
    ) -> None:
        super().__init__(tls_id, program, phase, since_s)
        self._control = control

    def legal(self, time_s: float) -> tuple[EpisodeDecision, ...]:
        """Both answers, during a green that has not reached its maximum."""
        is_open = self.elapsed_s(time_s) < self._control.max_green_s - _TOLERANCE_S
        if not (self.is_green and is_open):
            return ()
        yes = ExtendGreen(extend=True, extend_s=self._control.interval_s)
        return (yes, ExtendGreen(extend=False))

    def decide(self, decision: EpisodeDecision, time_s: float) -> list[Call]:
        """Sets how much longer the current green lasts."""
        if not isinstance(decision, ExtendGreen):
            raise self._wrong_kind("extend", decision)
        if not self.is_green:
            raise self._not_green()
        control, elapsed_s = self._control, self.elapsed_s(time_s)
        if not self.legal(time_s):
            raise InvalidDecision(
                f"phase {self.phase} of signal {self.tls_id} has been green for {elapsed_s:g} s, "
                f"its max_green_s of {control.max_green_s:g} s is reached",
                "above_max_green",
            )
        extend_s = decision.extend_s or control.interval_s
        extend = Extend(extend=decision.extend, extend_s=extend_s)
        left_s = extend.remaining_s(elapsed_s, control.min_green_s, control.max_green_s)
        return [Call("setPhaseDuration", left_s)]

    def keep(self, time_s: float) -> list[Call]:
        """Leaves the signal to its program."""
        return []


class PhaseDriver(SignalDriver):
    """Greens in any order.

    The program runs until it shows its first green; from then on the driver holds the greens.
    """

    def __init__(
        self, tls_id: str, program: Program, phase: int, since_s: float, control: PhaseControl
    ) -> None:
        super().__init__(tls_id, program, phase, since_s)
        self._control = control
        self._showing = {green: ShowPhase(next_phase=green) for green in self.greens}
        self._is_held = False
        self._target: int | None = None
        """The green to which the current transition leads."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has yet to take over, at the program's first green."""
        return not self._is_held

    def legal(self, time_s: float) -> tuple[EpisodeDecision, ...]:
        """The greens that may be shown next, in the program's order."""
        return tuple(self._showing[phase] for phase in self._choices(time_s))

    def decide(self, decision: EpisodeDecision, time_s: float) -> list[Call]:
        """Keeps the green, or starts the transition to another one."""
        if not isinstance(decision, ShowPhase):
            raise self._wrong_kind("phase", decision)
        self._check(decision.next_phase, time_s)
        return self._show(decision.next_phase, time_s)

    def keep(self, time_s: float) -> list[Call]:
        """Holds the green unless it would exceed its maximum: then the next in order follows."""
        choices = self._choices(time_s)
        if not choices or self.phase in choices:
            return []
        order = self.greens.index(self.phase)
        return self._show(self.greens[(order + 1) % len(self.greens)], time_s)

    def before_step(self, time_s: float) -> list[Call]:
        """Takes over at the first green, and continues a transition."""
        if self._target is not None:
            return self._go_on(time_s) if time_s >= self.due_s - _TOLERANCE_S else []
        if self._is_held or not self.is_green:
            return []
        self._is_held = True
        return self._hold(self.phase, is_new=False)

    def _choices(self, time_s: float) -> tuple[int, ...]:
        if self._target is not None or not self.is_green:
            return ()
        control, elapsed_s = self._control, self.elapsed_s(time_s)
        if elapsed_s < control.min_green_s - _TOLERANCE_S:
            return (self.phase,)
        longest_s = _NEVER_S if control.max_green_s is None else control.max_green_s
        if elapsed_s + control.interval_s <= longest_s + _TOLERANCE_S:
            return self.greens
        return tuple(phase for phase in self.greens if phase != self.phase)

    def _check(self, phase: int, time_s: float) -> None:
        choices = self._choices(time_s)
        if phase in choices:
            return
        if phase not in self.greens:
            greens = ", ".join(map(str, self.greens))
            raise InvalidDecision(
                f"phase {str(phase)[:20]} of signal {self.tls_id} is not a green phase of its "
                f"program; those are {greens}",
                "unknown_phase",
            )
        if not choices:
            raise self._not_green()
        said = (
            f"phase {self.phase} of signal {self.tls_id} has been green for "
            f"{self.elapsed_s(time_s):g} s"
        )
        if phase == self.phase:
            raise InvalidDecision(
                f"{said} and would exceed its max_green_s of {self._control.max_green_s} s",
                "above_max_green",
            )
        raise InvalidDecision(
            f"{said}, less than its min_green_s of {self._control.min_green_s:g} s",
            "below_min_green",
        )

    def _show(self, phase: int, time_s: float) -> list[Call]:
        if phase == self.phase:
            return []
        self._is_held, self._target = True, phase
        return self._leave(time_s)

    def _arrive(self, time_s: float) -> list[Call]:
        """Shows the green to which the transition led."""
        assert self._target is not None, "there is a transition"  # noqa: S101
        self.phase, self.since_s, self.due_s = self._target, time_s, _NEVER_S
        self._target = None
        return self._hold(self.phase, is_new=True)

    @abstractmethod
    def _leave(self, time_s: float) -> list[Call]:
        """Starts the transition."""

    @abstractmethod
    def _go_on(self, time_s: float) -> list[Call]:
        """Continues the transition, at ``due_s``."""

    @abstractmethod
    def _hold(self, green: int, is_new: bool) -> list[Call]:
        """Shows a green until something else is decided."""


class ProgramPhaseDriver(PhaseDriver):
    """Uses the program's own clearance between two greens."""

    _pending: Sequence[int] = ()

    def _leave(self, time_s: float) -> list[Call]:
        self._pending = clearance(self.program, self.phase)
        return self._go_on(time_s)

    def _go_on(self, time_s: float) -> list[Call]:
        while self._pending:
            phase, self._pending = self._pending[0], self._pending[1:]
            length_s = self.program.phases[phase].duration_s
            if length_s <= 0:
                continue
            self.phase, self.since_s, self.due_s = phase, time_s, time_s + length_s
            return [Call("setPhase", phase), Call("setPhaseDuration", length_s)]
        return self._arrive(time_s)

    def _hold(self, green: int, is_new: bool) -> list[Call]:
        jump = [Call("setPhase", green)] if is_new else []
        return [*jump, Call("setPhaseDuration", _HELD_S)]


class YellowPhaseDriver(PhaseDriver):
    """Shows some seconds of yellow between two greens. Works by setting the states of links."""

    @property
    def is_own(self) -> bool:
        """Whether the driver has yet to take over."""
        return not self._is_held

    def _leave(self, time_s: float) -> list[Call]:
        assert isinstance(self._control.transition, YellowTransition)  # noqa: S101
        assert self._target is not None, "there is a transition"  # noqa: S101
        self.due_s = time_s + self._control.transition.yellow_s
        now, then = _state(self.program, self.phase), _state(self.program, self._target)
        return [Call("setRedYellowGreenState", yellow_state(now, then))]

    def _go_on(self, time_s: float) -> list[Call]:
        return self._arrive(time_s)

    def _hold(self, green: int, is_new: bool) -> list[Call]:
        return [Call("setRedYellowGreenState", _state(self.program, green))]


def driver_of(
    tls_id: str, program: Program, phase: int, since_s: float, control: EpisodeControl
) -> SignalDriver:
    """The driver of a signal under a control.

    Raises:
        InvalidRequest: ``missing_transition``, as :func:`check_transition`.
    """
    if isinstance(control, ExtendControl):
        return ExtendDriver(tls_id, program, phase, since_s, control)
    check_transition(tls_id, program, control)
    is_yellow = isinstance(control.transition, YellowTransition)
    kind = YellowPhaseDriver if is_yellow else ProgramPhaseDriver
    return kind(tls_id, program, phase, since_s, control)
