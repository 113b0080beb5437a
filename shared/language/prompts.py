"""What a model is told about a junction, and what it is asked; and how to read that back."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, ValidationError

from shared.dataset import Message
from shared.decisions import DecisionKind
from shared.errors import DatasetError
from shared.model import WireModel
from shared.signals import Signal, SignalState

__all__ = [
    "SYSTEM_PROMPT",
    "Junction",
    "LaneCounts",
    "PromptForm",
    "build_prompt",
    "difficulty",
    "in_words",
    "plan_prompt",
    "read_prompt",
    "show_phase_prompt",
    "system_prompt",
]

_ROLE = "You control one traffic light. "
_SITUATION = (
    f"{_ROLE}Each green phase lists the vehicles on its lanes: queued "
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
_SHOW_PHASE = (
    "Decide which green phase is shown for the next {interval_s} seconds, so that queues stay "
    "short. Any other green phase than the current one starts after the clearance, and no green "
    "is ended before min_green. Answer with JSON only: "
    '{{"next_phase_id": <phase>}}.'
)
_EXTEND_S = 5
PromptForm = Literal["json", "words"]
"""As :func:`build_prompt` writes a junction's state, or :func:`in_words`."""
_PLAN_STEPS = 3
"""As many as the plans that :func:`shared.legality.legal_decisions` knows."""


def system_prompt(kind: DecisionKind = "extend", extend_s: int = _EXTEND_S) -> str:
    """What is asked, and the form of the answer, whatever the situation is told in.

    For prompts that are one text of somebody's own; :func:`build_prompt` says besides what its
    numbers mean.

    Args:
        kind: What is asked.
        extend_s: Seconds a *yes* adds.
    """
    return _ROLE + _QUESTIONS[kind].format(extend_s=extend_s, plan_steps=_PLAN_STEPS)


SYSTEM_PROMPT = system_prompt()
"""Of *extend* decisions of 5 seconds."""


class LaneCounts(WireModel):
    """The vehicles that one green phase serves."""

    queued: int = Field(ge=0)
    """Slower than 0.1 m/s."""
    approaching: int = Field(ge=0)
    """Moving."""
    passed: int = Field(ge=0)
    """Left the phase's lanes during its latest green."""


class _PhaseView(LaneCounts):
    """One green phase in the words of a prompt."""

    program_green: float | None = None
    """Where a cycle is asked for: its duration in the program, seconds."""


class Junction(WireModel):
    """What a prompt says about a junction."""

    phases: dict[int, LaneCounts] = Field(min_length=1)
    """The vehicles of each green phase, by phase index."""
    current_phase: int
    """The phase that is shown: one of ``phases``, but where a cycle is asked for."""
    elapsed_green: float
    """How long it has been shown, seconds."""
    min_green: float
    """No green is ended before it has lasted this long, seconds."""
    max_green: float
    """No green is extended beyond this, seconds."""


class _JunctionView(Junction):
    """The user message of a prompt."""

    phases: dict[int, _PhaseView] = Field(min_length=1)  # type: ignore[assignment]

    def text(self) -> str:
        """Compact JSON, phases in order, whole seconds without a decimal point."""
        view = {"phases": {}} | self.model_dump(exclude={"phases"})
        seconds = ("elapsed_green", "min_green", "max_green")
        view |= {name: _number(view[name]) for name in seconds}
        for phase, shown in sorted(self.phases.items()):
            view["phases"][str(phase)] = shown.model_dump(exclude_none=True)
            if shown.program_green is not None:
                view["phases"][str(phase)]["program_green"] = _number(shown.program_green)
        return json.dumps(view, separators=(",", ":"))


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
    program = signal.programs[state.program_id].phases if kind == "cycle" else None
    view = _JunctionView(
        phases={
            phase: _PhaseView(
                **count.model_dump(), program_green=program[phase].duration_s if program else None
            )
            for phase, count in counts.items()
        },
        current_phase=state.phase,
        elapsed_green=state.elapsed_s,
        min_green=signal.min_green_s,
        max_green=signal.max_green_s,
    )
    question = _QUESTIONS[kind].format(extend_s=extend_s, plan_steps=_PLAN_STEPS)
    return (
        Message(role="system", content=_SITUATION + question),
        Message(role="user", content=view.text()),
    )


def show_phase_prompt(
    signal: Signal, state: SignalState, counts: Mapping[int, LaneCounts], interval_s: int
) -> tuple[Message, Message]:
    """A prompt for a step of an episode, which asks for a green until a later step changes it.

    The user message is that of :func:`build_prompt`.

    Args:
        signal: The junction.
        state: What it is doing.
        counts: The vehicles of each green phase, by phase index.
        interval_s: Seconds between steps.
    """
    _, told = build_prompt("phase", signal, state, counts, interval_s)
    question = _SHOW_PHASE.format(interval_s=interval_s)
    return (Message(role="system", content=_SITUATION + question), told)


def read_prompt(prompt: Sequence[Message]) -> Junction:
    """The junction that :func:`build_prompt` wrote into a prompt; never guesses.

    Turns of the conversation that were put in between are not looked at.

    Raises:
        DatasetError: ``unreadable_prompt``: the last message is not one of :func:`build_prompt`.

    >>> user = ('{"phases":{"0":{"queued":4,"approaching":5,"passed":6}},"current_phase":0,'
    ...     '"elapsed_green":12,"min_green":5,"max_green":60}')
    >>> read_prompt([Message(role="user", content=user)]).phases[0].queued
    4
    """
    if not prompt or prompt[-1].role != "user":
        raise _unreadable("its last message is not the user's")
    text = prompt[-1].content
    try:
        view = _JunctionView.model_validate_json(text, strict=True)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in error["loc"]) or "it"
        raise _unreadable(f"{place}: {error['msg']}") from exc
    if view.text() != text:
        raise _unreadable(f"it would be written {view.text()}")
    phases = {
        phase: LaneCounts(queued=shown.queued, approaching=shown.approaching, passed=shown.passed)
        for phase, shown in view.phases.items()
    }
    return Junction(phases=phases, **view.model_dump(exclude={"phases"}))


def plan_prompt(
    prompt: Sequence[Message], extend_s: int, plan_steps: int
) -> tuple[Message, Message]:
    """A prompt of :func:`build_prompt` for *extend*, *phase* or *plan*, asking for a longer plan.

    Args:
        prompt: The messages.
        extend_s: Seconds a *yes* adds, and between decision points.
        plan_steps: Decisions that are asked for.

    Raises:
        DatasetError: ``unreadable_prompt``: the last message is not one of :func:`build_prompt`.

    >>> user = ('{"phases":{"0":{"queued":4,"approaching":5,"passed":6}},"current_phase":0,'
    ...     '"elapsed_green":12,"min_green":5,"max_green":60}')
    >>> asked = plan_prompt([Message(role="user", content=user)], extend_s=5, plan_steps=4)
    >>> "4 answers of" in asked[0].content, asked[1].content == user
    (True, True)
    """
    read_prompt(prompt)
    question = _QUESTIONS["plan"].format(extend_s=extend_s, plan_steps=plan_steps)
    return (
        Message(role="system", content=_SITUATION + question),
        Message(role="user", content=prompt[-1].content),
    )


def in_words(prompt: Sequence[Message]) -> tuple[Message, Message]:
    """A prompt of :func:`build_prompt` for *extend*, with the junction in words instead of JSON.

    What the shown green serves comes first, and then what waits, most vehicles first: a model that
    was trained on text need not look the shown phase up. The bounds of the green are left out.

    Args:
        prompt: The messages.

    Raises:
        DatasetError: ``unreadable_prompt``: the last message is not one of :func:`build_prompt`, or
            the first one asks for another decision.

    >>> user = ('{"phases":{"0":{"queued":4,"approaching":5,"passed":6},"2":{"queued":1,'
    ...     '"approaching":0,"passed":3},"4":{"queued":7,"approaching":1,"passed":0}},'
    ...     '"current_phase":0,"elapsed_green":12,"min_green":5,"max_green":60}')
    >>> asked = _SITUATION + _QUESTIONS["extend"].format(extend_s=5)
    >>> told = in_words([Message(role="system", content=asked), Message(role="user", content=user)])
    >>> print(told[1].content)
    Green now: phase 0, 4 queued, 5 approaching, 6 passed in 12 s.
    Red: phase 4, 7 queued, 1 approaching; phase 2, 1 queued, 0 approaching.
    """
    junction = read_prompt(prompt)
    begin, _, rest = prompt[0].content.partition(_SITUATION)
    if begin or not rest.startswith(_QUESTIONS["extend"].partition("{")[0]):
        raise _unreadable(
            "its first message does not ask whether to extend a green, the only question in "
            "words; set prompt_form: json"
        )
    counts, shown = junction.phases, junction.current_phase
    told = {phase: _counted(phase, counts[phase]) for phase in counts}
    passed = f"{counts[shown].passed} passed in {junction.elapsed_green:g} s"
    lines = [f"Green now: {told.pop(shown)}, {passed}."]
    if told:
        most_first = sorted(told, key=lambda phase: (-_vehicles(counts[phase]), phase))
        lines.append(f"Red: {'; '.join(told[phase] for phase in most_first)}.")
    return (
        Message(role="system", content=_ROLE + rest),
        Message(role="user", content="\n".join(lines)),
    )


def _counted(phase: int, counts: LaneCounts) -> str:
    return f"phase {phase}, {counts.queued} queued, {counts.approaching} approaching"


def _vehicles(counts: LaneCounts) -> int:
    return counts.queued + counts.approaching


def _unreadable(reason: str) -> DatasetError:
    return DatasetError(
        f"the prompt is not in the form that greenfork dataset build writes: {reason}",
        "unreadable_prompt",
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
    vehicles = {phase: _vehicles(count) for phase, count in counts.items()}
    served = vehicles.pop(current_phase, 0)
    waiting = max(vehicles.values(), default=0)
    return 1 - abs(served - waiting) / (served + waiting + 1)


def _number(value: float) -> float | int:
    """Whole seconds without a decimal point."""
    return int(value) if value == int(value) else value
