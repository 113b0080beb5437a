"""What a model is told about a junction, and what it is asked."""

import json
from collections.abc import Mapping

from shared.dataset import Message
from shared.decisions import DecisionKind
from shared.model import WireModel
from shared.signals import Signal, SignalState

__all__ = ["LaneCounts", "build_prompt", "difficulty"]

_SITUATION = (
    "You control one traffic light. Each green phase lists the vehicles on its lanes: queued "
    "(standing), approaching (moving) and passed (left during its latest green). "
)
_QUESTIONS: dict[DecisionKind, str] = {
    "extend": (
        "Decide whether "
        "the current green should last {extend_s} more seconds, so that queues stay short. "
        'Answer with JSON only: {{"extend": "yes"}} or {{"extend": "no"}}.'
    ),
    "phase": (
        "Decide which green phase is shown next and for how many seconds, so that queues stay "
        "short. The current green may go on for green_sec more seconds; elapsed_green and "
        "green_sec together are then from min_green to max_green. Any other green phase starts "
        "after the clearance, and its green_sec is from min_green to max_green. Answer with JSON "
        'only, in whole seconds: {{"next_phase_id": <phase>, "green_sec": <seconds>}}.'
    ),
    "cycle": (
        "Decide how many seconds each green phase lasts the next time it starts, so that queues "
        "stay short; program_green is what it lasts otherwise. Name every phase once, in the given "
        "order, each with min_green to max_green whole seconds. Answer with JSON only: "
        '[{{"phase_id": <phase>, "final": <seconds>}}, ...].'
    ),
    "plan": (
        "Decide at each of the next {plan_steps} decision points whether the green that is shown "
        "then should last {extend_s} more seconds, so that queues stay short. The first is now; "
        "they are {extend_s} seconds apart, and moments without a green between min_green and "
        "max_green are passed over. Answer with JSON only, {plan_steps} answers of "
        '"yes" or "no" in order: ["yes", "no", ...].'
    ),
}
_PLAN_STEPS = 3
"""As many as the plans that :func:`shared.legality.legal_decisions` knows."""


class LaneCounts(WireModel):
    """The vehicles that one green phase serves."""

    queued: int
    """Slower than 0.1 m/s."""
    approaching: int
    """Moving."""
    passed: int
    """Left the phase's lanes during its latest green."""


def build_prompt(
    kind: DecisionKind,
    signal: Signal,
    state: SignalState,
    counts: Mapping[int, LaneCounts],
    extend_s: int,
) -> tuple[Message, Message]:
    """A system and a user message; the user message is the junction's state as compact JSON.

    Args:
        kind: What is asked.
        signal: The junction.
        state: What it is doing.
        counts: The vehicles of each green phase, by phase index.
        extend_s: Seconds a *yes* adds.
    """
    phases = {str(phase): count.model_dump() for phase, count in sorted(counts.items())}
    if kind == "cycle":
        program = signal.programs[state.program_id]
        for phase, view in phases.items():
            view["program_green"] = _number(program.phases[int(phase)].duration_s)
    view = {
        "phases": phases,
        "current_phase": state.phase,
        "elapsed_green": _number(state.elapsed_s),
        "min_green": _number(signal.min_green_s),
        "max_green": _number(signal.max_green_s),
    }
    question = _QUESTIONS[kind].format(extend_s=extend_s, plan_steps=_PLAN_STEPS)
    return (
        Message(role="system", content=_SITUATION + question),
        Message(role="user", content=json.dumps(view, separators=(",", ":"))),
    )


def difficulty(current_phase: int, counts: Mapping[int, LaneCounts]) -> float:
    """How evenly matched the current green and its strongest rival are, 0 (easy) to 1 (hard).

    ``1 - |served - waiting| / (served + waiting + 1)``, where *served* counts the vehicles (queued
    and approaching) of the current green and *waiting* those of the other green that has most.

    >>> busy, empty = LaneCounts(queued=9, approaching=0, passed=0), LaneCounts(
    ...     queued=0, approaching=0, passed=0)
    >>> difficulty(0, {0: busy, 2: empty}) < difficulty(0, {0: busy, 2: busy})
    True
    """
    vehicles = {phase: count.queued + count.approaching for phase, count in counts.items()}
    served = vehicles.pop(current_phase, 0)
    waiting = max(vehicles.values(), default=0)
    return 1 - abs(served - waiting) / (served + waiting + 1)


def _number(value: float) -> float | int:
    """Whole seconds without a decimal point."""
    return int(value) if value == int(value) else value
