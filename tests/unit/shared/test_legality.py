"""Which decisions may be carried out at a signal in a state."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.decisions import Cycle, Decision, DecisionKind, Extend, NextPhase, canonical
from shared.errors import InvalidDecision
from shared.legality import (
    GREEN_GRID_S,
    check_legality,
    is_decision_point,
    legal_decisions,
    undecidable_reason,
)
from shared.signals import Phase, Program, Signal, SignalState
from tests.unit.shared.decided import DECISIONS, cycle, plan

ADAPTER: TypeAdapter[Decision] = TypeAdapter(Decision)
KINDS: st.SearchStrategy[DecisionKind] = st.sampled_from(get_args(DecisionKind))
THREE_GREENS = ("GGrr", "yyrr", "rrGG", "rryy", "gggg", "yyyy")


def crossing(*phases: str, min_green_s: float = 5, max_green_s: float = 60) -> Signal:
    """A signal with one program, which shows these phases."""
    shown = tuple(Phase(duration_s=10, state=letters) for letters in phases)
    return Signal(
        tls_id="C",
        incoming_lanes=(),
        outgoing_lanes=(),
        programs={"0": Program(program_id="0", kind="static", phases=shown)},
        min_green_s=min_green_s,
        max_green_s=max_green_s,
    )


def showing(phase: int, elapsed_s: float = 10, program_id: str = "0") -> SignalState:
    """A signal's state."""
    return SignalState(program_id=program_id, phase=phase, elapsed_s=elapsed_s)


SIGNALS = st.builds(
    lambda phases, least_s, most_s: crossing(*phases, min_green_s=least_s, max_green_s=most_s),
    st.lists(st.sampled_from([*THREE_GREENS, "rrrr"]), min_size=1, max_size=8),
    st.floats(0, 80),
    st.floats(0.1, 4000),
)


def to(next_phase: int, green_s: int) -> NextPhase:
    """A decision for a phase."""
    return NextPhase(next_phase=next_phase, green_s=green_s)


@pytest.mark.parametrize(
    ("decision", "phase", "elapsed_s"),
    [
        (Extend(extend=True), 0, 3),
        (Extend(extend=False), 0, 300),
        (plan(True, False), 2, 0),
        (to(0, 50), 0, 10),
        (to(0, 1), 0, 4),
        (to(2, 5), 0, 10),
        (to(4, 60), 0, 300),
        (cycle((0, 5), (2, 60), (4, 20)), 0, 10),
        (cycle((0, 5), (2, 60), (4, 20)), 1, 2),
    ],
)
def test_what_keeps_the_rules_is_legal(decision: Decision, phase: int, elapsed_s: float) -> None:
    """At the bounds too, and a cycle at a yellow."""
    check_legality(decision, crossing(*THREE_GREENS), showing(phase, elapsed_s))


@pytest.mark.parametrize(
    ("decision", "phase", "code"),
    [
        (Extend(extend=True), 1, "not_green"),
        (plan(False), 3, "not_green"),
        (to(2, 20), 1, "not_green"),
        (to(9, 20), 0, "unknown_phase"),
        (to(10**4000, 20), 0, "unknown_phase"),
        (to(1, 20), 0, "unknown_phase"),
        (to(2, 4), 0, "below_min_green"),
        (to(2, 61), 0, "above_max_green"),
        (to(0, 51), 0, "above_max_green"),
        (cycle((0, 20), (1, 20), (2, 20), (4, 20)), 0, "unknown_phase"),
        (cycle((0, 20), (2, 20), (9, 20)), 0, "unknown_phase"),
        (cycle((0, 20), (4, 20)), 0, "missing_phase"),
        (cycle((2, 20), (0, 20)), 0, "missing_phase"),
        (cycle((0, 20), (4, 20), (2, 20)), 0, "wrong_order"),
        (cycle((2, 20), (4, 20), (0, 20)), 0, "wrong_order"),
        (cycle((0, 20), (2, 20), (2, 20), (4, 20)), 0, "repeated_phase"),
        (cycle((0, 20), (2, 4), (4, 20)), 0, "below_min_green"),
        (cycle((0, 20), (2, 20), (4, 61)), 0, "above_max_green"),
    ],
)
def test_each_broken_rule_has_its_code(decision: Decision, phase: int, code: str) -> None:
    """Statistics can tell them apart."""
    with pytest.raises(InvalidDecision) as caught:
        check_legality(decision, crossing(*THREE_GREENS), showing(phase))
    assert caught.value.code == code


def test_current_green_may_end_up_too_short() -> None:
    """What it has lasted counts: 2 s and 2 s more are less than 5 s."""
    with pytest.raises(InvalidDecision) as caught:
        check_legality(to(0, 2), crossing(*THREE_GREENS), showing(0, 2))
    assert caught.value.code == "below_min_green"


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (
            to(1, 20),
            "phase 1 of signal C is not a green phase of its program; those are 0, 2, 4",
        ),
        (to(2, 4), "phase 2 of signal C would be green for 4 s, less than its min_green_s of 5 s"),
        (
            to(0, 60),
            "phase 0 of signal C would be green for 70 s (10 s so far and 60 s more), "
            "more than its max_green_s of 60 s",
        ),
        (cycle((0, 20)), "the cycle of signal C lacks the green phases 2, 4"),
        (
            cycle((0, 20), (4, 20), (2, 20)),
            "the green phases of signal C are in the order 0, 4, 2; its program's order is 0, 2, 4",
        ),
        (
            cycle((0, 20), (0, 20), (2, 20), (4, 20)),
            "phase 0 of signal C appears more than once in the cycle",
        ),
    ],
)
def test_messages_name_signal_phase_value_and_bound(decision: Decision, message: str) -> None:
    """A person who reads the log need not look up the signal."""
    with pytest.raises(InvalidDecision) as caught:
        check_legality(decision, crossing(*THREE_GREENS), showing(0))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("phases", "program_id", "reason"),
    [
        (THREE_GREENS, "0", None),
        (("GGrr", "rrGG"), "0", None),
        (("GGrr", "yyrr", "rrrr"), "0", "one green phase only"),
        (("yyyy", "rrrr"), "0", "no green phase"),
        (THREE_GREENS, "off", "unknown program 'off'"),
    ],
)
def test_fewer_than_two_greens_leave_nothing_to_decide(
    phases: tuple[str, ...], program_id: str, reason: str | None
) -> None:
    """Then no kind of decision is legal, and no moment is a decision point."""
    signal, state = crossing(*phases), showing(0, program_id=program_id)
    assert undecidable_reason(signal, program_id) == reason
    assert is_decision_point(signal, state) == (reason is None)
    for decision in (Extend(extend=True), plan(True), to(0, 20), cycle((0, 20))):
        code = _code(decision, signal, state)
        assert (code == "nothing_to_decide") == (reason is not None)


def _code(decision: Decision, signal: Signal, state: SignalState) -> str | None:
    try:
        check_legality(decision, signal, state)
    except InvalidDecision as exc:
        return exc.code
    return None


@pytest.mark.parametrize(
    ("phase", "elapsed_s", "is_open"),
    [(0, 4.9, False), (0, 5, True), (0, 59.9, True), (0, 60, False), (1, 10, False)],
)
def test_decision_point_is_a_green_between_its_bounds(
    phase: int, elapsed_s: float, is_open: bool
) -> None:
    """Before it nothing can be ended, after it nothing extended."""
    assert is_decision_point(crossing(*THREE_GREENS), showing(phase, elapsed_s)) is is_open


@given(SIGNALS, st.data(), KINDS, st.floats(0, 100), st.integers(1, 3600))
def test_enumerated_decisions_are_legal_and_distinct(
    signal: Signal, data: st.DataObject, kind: DecisionKind, elapsed_s: float, extend_s: int
) -> None:
    """Whatever the signal's program and bounds, and wherever it is."""
    phase = data.draw(st.integers(0, len(signal.programs["0"].phases) - 1))
    state = showing(phase, elapsed_s)
    decisions = legal_decisions(kind, signal, state, extend_s)
    for decision in decisions:
        check_legality(decision, signal, state)
        assert decision.kind == kind
        assert ADAPTER.validate_json(canonical(decision)).kind == kind
    assert len({canonical(decision) for decision in decisions}) == len(decisions)


@given(SIGNALS, st.data(), DECISIONS, st.floats(0, 100))
def test_no_decision_breaks_the_check(
    signal: Signal, data: st.DataObject, decision: Decision, elapsed_s: float
) -> None:
    """A decision is legal or invalid with a code of its own; a kind with a legal one has some."""
    phase = data.draw(st.integers(0, len(signal.programs["0"].phases) - 1))
    state = showing(phase, elapsed_s)
    code = _code(decision, signal, state)
    assert code != InvalidDecision.code
    if code is None:
        assert legal_decisions(decision.kind, signal, state, 5)


def test_extend_decisions_are_yes_and_no() -> None:
    """Yes first, with the seconds that were asked for."""
    decisions = legal_decisions("extend", crossing(*THREE_GREENS), showing(0), 7)
    assert decisions == (Extend(extend=True, extend_s=7), Extend(extend=False))


def test_phase_decisions_are_every_green_over_the_grid() -> None:
    """For the current green as far as its total stays below the maximum."""
    decisions = legal_decisions("phase", crossing(*THREE_GREENS), showing(2, 20), 5)
    assert decisions == (
        *(to(0, green_s) for green_s in GREEN_GRID_S),
        *(to(2, green_s) for green_s in GREEN_GRID_S if green_s <= 40),
        *(to(4, green_s) for green_s in GREEN_GRID_S),
    )


@pytest.mark.parametrize(
    ("min_green_s", "max_green_s", "elapsed_s", "expected"),
    [
        (5, 60, 58, [to(0, 1), *(to(2, green_s) for green_s in GREEN_GRID_S)]),
        (5, 60, 60, [to(2, green_s) for green_s in GREEN_GRID_S]),
        (61.5, 90, 0, [to(0, 62), to(2, 62)]),
        (5.2, 5.8, 0, []),
        (0, 4, 0, [to(0, 1), to(2, 1)]),
    ],
)
def test_phase_decisions_where_the_grid_does_not_fit(
    min_green_s: float, max_green_s: float, elapsed_s: float, expected: list[NextPhase]
) -> None:
    """The shortest whole green takes its place, if any is legal."""
    signal = crossing("GGrr", "yyrr", "rrGG", min_green_s=min_green_s, max_green_s=max_green_s)
    assert list(legal_decisions("phase", signal, showing(0, elapsed_s), 5)) == expected


@pytest.mark.parametrize(
    ("min_green_s", "max_green_s", "seconds"),
    [
        (5, 60, [(15, 15), (30, 30), (30, 15), (15, 30)]),
        (20, 25.5, [(20, 20), (25, 25), (25, 20), (20, 25)]),
        (40, 60, [(40, 40)]),
        (5, 10, [(10, 10)]),
        (5.2, 5.8, []),
    ],
)
def test_cycle_decisions_favour_none_all_or_one_green(
    min_green_s: float, max_green_s: float, seconds: list[tuple[int, int]]
) -> None:
    """At the legal seconds nearest to 15 and 30, each cycle once; at a yellow too."""
    signal = crossing("GGrr", "yyrr", "rrGG", min_green_s=min_green_s, max_green_s=max_green_s)
    expected = tuple(cycle((0, first), (2, second)) for first, second in seconds)
    assert legal_decisions("cycle", signal, showing(1), 5) == expected


def test_cycle_of_more_greens_than_a_decision_holds_is_not_enumerated() -> None:
    """Rather none than one that would be refused."""
    assert legal_decisions("cycle", crossing(*["GGrr"] * 65), showing(0), 5) == ()
    (first, *_) = legal_decisions("cycle", crossing(*["GGrr"] * 64), showing(0), 5)
    assert isinstance(first, Cycle)


def test_plan_decisions_are_all_of_three_steps() -> None:
    """With the spacing that was asked for."""
    decisions = legal_decisions("plan", crossing(*THREE_GREENS), showing(0), 7)
    assert len(decisions) == 8
    assert decisions[0] == plan(True, True, True, extend_s=7)
    assert decisions[-1] == plan(False, False, False, extend_s=7)


@pytest.mark.parametrize("kind", ["extend", "phase", "plan"])
def test_nothing_but_a_cycle_is_enumerated_at_a_yellow(kind: DecisionKind) -> None:
    """There is no green to keep or to end."""
    assert legal_decisions(kind, crossing(*THREE_GREENS), showing(1), 5) == ()
