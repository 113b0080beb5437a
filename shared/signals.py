"""Traffic lights: what is fixed (programs, lanes) and what a state knows (phase, elapsed green).

Owns the definition of a *green* phase. Does not talk to SUMO.
"""

from pydantic import Field

from shared.model import WireModel

__all__ = ["Phase", "Program", "Signal", "SignalState", "is_green"]


def is_green(state: str) -> bool:
    """Tells whether a phase lets traffic flow: some ``G`` or ``g``, and no ``y`` or ``u``.

    Args:
        state: SUMO's phase string, one letter a link.

    >>> is_green("GGrr"), is_green("yyrr"), is_green("rrrr"), is_green("Gyrr")
    (True, False, False, False)
    """
    return any(c in "Gg" for c in state) and not any(c in "yYuU" for c in state)


class Phase(WireModel):
    """One phase of a signal program."""

    duration_s: float
    """The program's own duration, seconds."""
    state: str
    """SUMO's letters, one a link: ``GGgrrr``."""
    green_lanes: tuple[str, ...] = ()
    """The incoming lanes that have at least one green link, in link order."""
    exit_lanes: tuple[str, ...] = ()
    """The lanes that its green links lead to, in link order."""
    next_phases: tuple[int, ...] = ()
    """Where the program names the phases that may follow, their indices; else the next one does."""

    @property
    def is_green(self) -> bool:
        """Whether this is a green phase (see :func:`is_green`)."""
        return is_green(self.state)


class Program(WireModel):
    """A cycle of phases, as a file defines it."""

    program_id: str
    kind: str
    """``static``, ``actuated``, ``delay_based`` or ``nema``."""
    phases: tuple[Phase, ...]

    def greens(self) -> tuple[int, ...]:
        """The indices of the green phases, in program order."""
        return tuple(i for i, phase in enumerate(self.phases) if phase.is_green)

    def successor(self, phase: int) -> int:
        """The phase that follows: the one it names, the first if several, or the next in order."""
        named = self.phases[phase].next_phases
        return named[0] if named else (phase + 1) % len(self.phases)


class Signal(WireModel):
    """One traffic light of a scenario: everything about it that does not change."""

    tls_id: str
    incoming_lanes: tuple[str, ...]
    """The distinct lanes of ``trafficlight.getControlledLanes``, in link order."""
    outgoing_lanes: tuple[str, ...]
    """The distinct lanes that its links lead to."""
    programs: dict[str, Program]
    min_green_s: float = Field(ge=0)
    """No green is ended before it has lasted this long, seconds."""
    max_green_s: float = Field(gt=0)
    """No green is extended beyond this, seconds."""


class SignalState(WireModel):
    """What one traffic light was doing at the moment of a state."""

    program_id: str
    phase: int
    """Index of the current phase in the program."""
    elapsed_s: float
    """How long the current phase has been shown (``trafficlight.getSpentDuration``), seconds."""
