"""Decisions: what a controller does at one signal in one state.

Owns their JSON form and what they mean in seconds of green. Reading them out of a model's text is
:mod:`shared.language.completions`, checking them against a state is :mod:`shared.legality`,
carrying them out is the simulation's.

In every kind a phase is an index into the signal's program, *t* is the moment of the state, and
what is not decided follows the program: once a decision has been carried out, the program goes on
from the phase it is in, with its own durations. Other signals are left alone.
"""

import json
from typing import Annotated, Literal

from pydantic import BeforeValidator, FailFast, Field, StrictBool, StrictInt

from shared.model import WireModel

__all__ = [
    "MAX_CYCLE_GREENS",
    "MAX_GREEN_S",
    "MAX_PLAN_STEPS",
    "Cycle",
    "CycleGreen",
    "Decision",
    "DecisionKind",
    "Extend",
    "NextPhase",
    "Plan",
    "PlanStep",
    "canonical",
]

MAX_GREEN_S = 3600
"""No decision can ask for a longer green, seconds, whatever the signal allows."""

MAX_CYCLE_GREENS = 64
"""Green phases that one cycle can set."""

MAX_PLAN_STEPS = 240
"""Decision points that one plan can answer."""

DecisionKind = Literal["extend", "phase", "cycle", "plan"]
"""The kinds that can be scored."""


class Extend(WireModel):
    """Keep the current green for a while, or end it.

    *yes*: the current green lasts ``extend_s`` more seconds from now, cut at the signal's
    ``max_green_s``; then the program goes on with the next phase. *no*: the next phase starts now,
    or as soon as ``min_green_s`` is reached.
    """

    kind: Literal["extend"] = "extend"
    extend: StrictBool
    extend_s: StrictInt = Field(default=5, ge=1, le=MAX_GREEN_S)
    """Seconds of green added by a *yes*; has no effect on a *no*."""

    def remaining_s(self, elapsed_s: float, min_green_s: float, max_green_s: float) -> float:
        """Seconds the current phase still lasts under this decision.

        This is the argument of SUMO's ``trafficlight.setPhaseDuration``, called before the first
        step.

        >>> Extend(extend=True).remaining_s(elapsed_s=57, min_green_s=5, max_green_s=60)
        3
        >>> Extend(extend=False).remaining_s(elapsed_s=3, min_green_s=5, max_green_s=60)
        2
        """
        if self.extend:
            return max(0, min(self.extend_s, max_green_s - elapsed_s))
        return max(0, min_green_s - elapsed_s)


class NextPhase(WireModel):
    """Choose the green phase that is shown next, and for how long.

    If ``next_phase`` is the current green, it lasts ``green_s`` more seconds from now. Otherwise
    the current green ends now, or as soon as ``min_green_s`` is reached; the phases that follow it
    up to the next green (its clearance) run in full; then ``next_phase`` is shown for ``green_s``.
    From there the program goes on, with the phase that follows ``next_phase``.
    """

    kind: Literal["phase"] = "phase"
    next_phase: StrictInt = Field(ge=0)
    """Index of a green phase in the signal's program."""
    green_s: StrictInt = Field(ge=1, le=MAX_GREEN_S)
    """Seconds of green: from now for the current green, from its start for another."""


class CycleGreen(WireModel):
    """How long one green phase of a cycle lasts."""

    phase: StrictInt = Field(ge=0)
    """Index of the green phase in the signal's program."""
    green_s: StrictInt = Field(ge=1, le=MAX_GREEN_S)
    """Seconds of green."""


class Cycle(WireModel):
    """Set every green of one cycle.

    Each green phase lasts the given seconds the next time it starts, once; from then on it has the
    program's duration again. A green that runs now is left as it is: its seconds are for its next
    start. The phases between the greens are the program's.
    """

    kind: Literal["cycle"] = "cycle"
    greens: Annotated[tuple[CycleGreen, ...], FailFast()] = Field(
        min_length=1, max_length=MAX_CYCLE_GREENS
    )
    """All green phases of the program, each once, in program order."""


class PlanStep(WireModel):
    """The answer at one decision point of a plan."""

    extend: StrictBool
    """Whether the green that is shown then is kept; see the extend decision."""


class Plan(WireModel):
    """Extend decisions at successive decision points.

    Step k belongs to the k-th decision point. Decision points lie on the grid t, t + ``extend_s``,
    t + 2 ``extend_s``, …: they are its moments at which a green is shown that has lasted at least
    ``min_green_s`` and less than ``max_green_s``. The grid's other moments are passed over and use
    up no step. At its decision point a step does what an extend decision does. The first step is
    carried out at t even if ``min_green_s`` is not reached, as an extend decision is. After the
    last step the program goes on.
    """

    kind: Literal["plan"] = "plan"
    steps: Annotated[tuple[PlanStep, ...], FailFast()] = Field(
        min_length=1, max_length=MAX_PLAN_STEPS
    )
    """One answer a decision point."""
    extend_s: StrictInt = Field(default=5, ge=1, le=MAX_GREEN_S)
    """Seconds between the moments of the grid, and seconds of green added by a *yes*."""


def _with_kind(value: object) -> object:
    """Reads ``{"extend": true}`` as the extend decision it was before there were other kinds."""
    if isinstance(value, dict) and "extend" in value and "kind" not in value:
        return {**value, "kind": "extend"}
    return value


Decision = Annotated[
    Extend | NextPhase | Cycle | Plan,
    Field(discriminator="kind"),
    BeforeValidator(_with_kind),
]
"""Any decision, told apart by ``kind``."""


def canonical(decision: Decision) -> str:
    """The one JSON text of a decision: equal effects of one kind have equal texts.

    ``extend_s`` of a single *no* changes nothing, so it does not appear. In a plan of several
    steps it says when they are due, so there it stays.

    >>> canonical(Extend(extend=False, extend_s=10)) == canonical(Extend(extend=False))
    True
    >>> canonical(NextPhase(next_phase=4, green_s=20))
    '{"green_s":20,"kind":"phase","next_phase":4}'
    """
    fields = decision.model_dump()
    if _is_single_no(decision):
        del fields["extend_s"]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def _is_single_no(decision: Decision) -> bool:
    match decision:
        case Extend(extend=False) | Plan(steps=(PlanStep(extend=False),)):
            return True
    return False
