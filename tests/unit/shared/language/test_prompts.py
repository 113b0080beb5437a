"""Prompts say what is asked, what the junction looks like, and how to answer; and are read."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dataset import Message
from shared.decisions import DecisionKind, Plan
from shared.errors import DatasetError
from shared.language.completions import parse_completion
from shared.language.prompts import LaneCounts, build_prompt, in_words, plan_prompt, read_prompt
from shared.legality import check_legality, legal_decisions
from shared.signals import Phase, Program, Signal, SignalState

_SIGNAL = Signal(
    tls_id="c",
    incoming_lanes=("n_0", "e_0"),
    outgoing_lanes=("s_0", "w_0"),
    programs={
        "0": Program(
            program_id="0",
            kind="static",
            phases=(
                Phase(duration_s=33, state="Gr", green_lanes=("n_0",)),
                Phase(duration_s=3, state="yr"),
                Phase(duration_s=21.5, state="rG", green_lanes=("e_0",)),
                Phase(duration_s=3, state="ry"),
            ),
        )
    },
    min_green_s=5,
    max_green_s=60,
)
_STATE = SignalState(program_id="0", phase=2, elapsed_s=12)
_COUNTS = {
    2: LaneCounts(queued=1, approaching=2, passed=3),
    0: LaneCounts(queued=4, approaching=5, passed=6),
}
_KINDS: tuple[DecisionKind, ...] = get_args(DecisionKind)


def _asked(kind: DecisionKind, extend_s: int = 5) -> tuple[str, str]:
    system, user = build_prompt(kind, _SIGNAL, _STATE, _COUNTS, extend_s)
    assert (system.role, user.role) == ("system", "user")
    return system.content, user.content


def test_extend_is_asked_in_the_words_that_models_were_trained_on() -> None:
    """To the letter: another text is another task."""
    assert _asked("extend") == (
        "You control one traffic light. Each green phase lists the vehicles on its lanes: queued "
        "(standing), approaching (moving) and passed (left during its latest green). Decide "
        "whether the current green should last 5 more seconds, so that queues stay short. "
        'Answer with JSON only: {"extend": "yes"} or {"extend": "no"}.',
        '{"phases":{"0":{"queued":4,"approaching":5,"passed":6},'
        '"2":{"queued":1,"approaching":2,"passed":3}},'
        '"current_phase":2,"elapsed_green":12,"min_green":5,"max_green":60}',
    )


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_shows_the_junction_as_compact_json(kind: DecisionKind) -> None:
    """The greens in program order with the vehicles on their lanes, and the bounds."""
    _, user = _asked(kind)
    view = json.loads(user)
    assert json.dumps(view, separators=(",", ":")) == user
    assert list(view["phases"]) == ["0", "2"]
    assert view["phases"]["0"].items() >= {"queued": 4, "approaching": 5, "passed": 6}.items()
    bounds = [view[key] for key in ("current_phase", "elapsed_green", "min_green", "max_green")]
    assert bounds == [2, 12, 5, 60]


def test_cycles_are_asked_with_what_the_program_gives() -> None:
    """Seconds without a needless decimal point."""
    phases = json.loads(_asked("cycle")[1])["phases"]
    assert [phase["program_green"] for phase in phases.values()] == [33, 21.5]
    assert "33.0" not in _asked("cycle")[1]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("extend", '{"extend": "yes"}'),
        ("phase", '{"next_phase_id": <phase>, "green_sec": <seconds>}'),
        ("cycle", '[{"phase_id": <phase>, "final": <seconds>}, ...]'),
        ("plan", '["yes", "no", ...]'),
    ],
)
def test_what_is_asked_for_can_be_read(kind: DecisionKind, answer: str) -> None:
    """The form in the prompt, filled in, is a legal decision of the kind."""
    assert answer in _asked(kind)[0]
    filled = answer.replace("<phase>", "0").replace("<seconds>", "20")
    filled = filled.replace(", ...", ', {"phase_id": 2, "final": 30}' if kind == "cycle" else "")
    decision = parse_completion(filled, kind)
    assert decision.kind == kind
    check_legality(decision, _SIGNAL, _STATE)


@pytest.mark.parametrize("kind", ["extend", "plan"])
def test_seconds_that_a_yes_adds_are_said(kind: DecisionKind) -> None:
    """Whatever they are."""
    assert "last 7 more seconds" in _asked(kind, extend_s=7)[0]


def test_plans_are_asked_for_as_many_steps_as_are_rolled_out() -> None:
    """So that an answer can be among the stored outcomes."""
    plans = legal_decisions("plan", _SIGNAL, _STATE, 5)
    steps = {len(plan.steps) for plan in plans if isinstance(plan, Plan)}
    assert [f"next {count} decision points" in _asked("plan")[0] for count in steps] == [True]


_counts = st.builds(LaneCounts, **{name: st.integers(0, 300) for name in LaneCounts.model_fields})
_seconds = st.integers(0, 9000).map(lambda deci: deci / 10)


@given(st.sampled_from(_KINDS), st.tuples(_counts, _counts), _seconds, st.booleans())
def test_prompts_are_read_back(
    kind: DecisionKind, seen: tuple[LaneCounts, LaneCounts], elapsed_s: float, has_turns: bool
) -> None:
    """Whatever was seen, answered examples in between or not."""
    state = _STATE.model_copy(update={"elapsed_s": elapsed_s})
    counts = dict(zip((2, 0), seen, strict=True))
    system, user = build_prompt(kind, _SIGNAL, state, counts, 5)
    turns = [Message(role="user", content="{}")] if has_turns else []
    read = read_prompt([system, *turns, user])
    assert read.phases == counts
    assert (read.current_phase, read.elapsed_green) == (2, elapsed_s)
    assert (read.min_green, read.max_green) == (5, 60)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"queued":4', '"queued":4.0'),
        ('"queued":4', '"queued":-4'),
        ('"queued":4', '"queued":"4"'),
        ('"queued":4', '"queued":true'),
        ('"queued":4', '"queued":4,"queued":5'),
        ('"queued":4,', ""),
        ('"queued":4', '"queued":4,"parked":1'),
        ('"2":', '"02":'),
        ('"elapsed_green":12', '"elapsed_green":NaN'),
        ('"elapsed_green":12', '"elapsed_green":12.0'),
        (',"current_phase":2', ""),
        ("{", "Now: {"),
        ("{", "{ "),
    ],
)
def test_other_texts_are_not_read(was: str, becomes: str) -> None:
    """A number that was guessed would be taken for a measurement."""
    system, user = build_prompt("extend", _SIGNAL, _STATE, _COUNTS, 5)
    said = Message(role="user", content=user.content.replace(was, becomes, 1))
    assert said != user
    with pytest.raises(DatasetError) as refused:
        read_prompt([system, said])
    assert refused.value.code == "unreadable_prompt"


def test_a_prompt_without_a_last_word_of_the_user_is_not_read() -> None:
    """None, or the question alone."""
    for prompt in ((), build_prompt("extend", _SIGNAL, _STATE, _COUNTS, 5)[:1]):
        with pytest.raises(DatasetError, match="last message"):
            read_prompt(prompt)


@pytest.mark.parametrize("kind", ["extend", "phase", "plan"])
def test_a_prompt_for_a_longer_plan_shows_the_same_junction(kind: DecisionKind) -> None:
    """Of three steps it is the very prompt for a plan; of seven, only their number differs."""
    prompt = build_prompt(kind, _SIGNAL, _STATE, _COUNTS, extend_s=5)
    plan = build_prompt("plan", _SIGNAL, _STATE, _COUNTS, extend_s=5)
    assert plan_prompt(prompt, extend_s=5, plan_steps=3) == plan
    seven = plan_prompt(prompt, extend_s=5, plan_steps=7)
    assert seven[0].content == plan[0].content.replace("next 3", "next 7").replace(
        "only, 3", "only, 7"
    )
    assert seven[1] == plan[1]


def test_a_prompt_that_is_not_ours_asks_for_no_plan() -> None:
    """What it shows may mean something else."""
    with pytest.raises(DatasetError, match="not in the form"):
        plan_prompt([Message(role="user", content="Go?")], extend_s=5, plan_steps=3)


def test_a_state_in_words_begins_with_what_is_served() -> None:
    """To the letter; what waits stands in order of its vehicles, and the question is the same."""
    counts = {**_COUNTS, 4: LaneCounts(queued=0, approaching=3, passed=0)}
    asked = build_prompt("extend", _SIGNAL, _STATE, counts, extend_s=7)

    system, user = in_words(asked)

    assert (system.role, user.role) == ("system", "user")
    assert system.content == (
        "You control one traffic light. Decide whether the current green should last 7 more "
        'seconds, so that queues stay short. Answer with JSON only: {"extend": "yes"} or '
        '{"extend": "no"}.'
    )
    assert user.content == (
        "Green now: phase 2, 1 queued, 2 approaching, 3 passed in 12 s.\n"
        "Red: phase 0, 4 queued, 5 approaching; phase 4, 0 queued, 3 approaching."
    )


def test_a_state_in_words_may_have_nothing_red() -> None:
    """A signal with one green phase."""
    counts = {2: _COUNTS[2]}
    _, user = in_words(build_prompt("extend", _SIGNAL, _STATE, counts, extend_s=5))
    assert user.content == "Green now: phase 2, 1 queued, 2 approaching, 3 passed in 12 s."


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "extend"])
def test_other_decisions_are_not_asked_for_in_words(kind: DecisionKind) -> None:
    """They need the bounds of the green, which words leave out."""
    with pytest.raises(DatasetError, match="whether to extend a green") as refused:
        in_words(build_prompt(kind, _SIGNAL, _STATE, _COUNTS, extend_s=5))
    assert refused.value.code == "unreadable_prompt"
