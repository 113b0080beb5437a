"""The JSON form of decisions."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from shared.decisions import (
    Cycle,
    CycleGreen,
    Decision,
    Extend,
    NextPhase,
    Plan,
    PlanStep,
    canonical,
)
from tests.unit.shared.decided import DECISIONS, plan

ADAPTER: TypeAdapter[Decision] = TypeAdapter(Decision)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ('{"kind":"extend","extend":true,"extend_s":7}', Extend(extend=True, extend_s=7)),
        ('{"kind":"extend","extend":false}', Extend(extend=False)),
        ('{"extend":true}', Extend(extend=True)),
        ('{"kind":"phase","next_phase":4,"green_s":20}', NextPhase(next_phase=4, green_s=20)),
        (
            '{"kind":"cycle","greens":[{"phase":0,"green_s":30},{"phase":2,"green_s":20}]}',
            Cycle(greens=(CycleGreen(phase=0, green_s=30), CycleGreen(phase=2, green_s=20))),
        ),
        (
            '{"kind":"plan","steps":[{"extend":true},{"extend":false}]}',
            Plan(steps=(PlanStep(extend=True), PlanStep(extend=False)), extend_s=5),
        ),
    ],
)
def test_each_kind_has_its_json(text: str, decision: Decision) -> None:
    """As the contract writes it; a decision to extend may go without its kind."""
    assert ADAPTER.validate_json(text) == decision


@pytest.mark.parametrize(
    "value",
    [
        3,
        {},
        {"kind": "hold"},
        {"kind": ["extend"], "extend": True},
        {"next_phase": 4, "green_s": 20},
        {"kind": "extend", "extend": "yes"},
        {"kind": "extend", "extend": True, "extend_s": 0},
        {"kind": "extend", "extend": True, "extend_s": 3601},
        {"kind": "extend", "extend": True, "why": "queue"},
        {"kind": "phase", "next_phase": -1, "green_s": 20},
        {"kind": "phase", "next_phase": True, "green_s": 20},
        {"kind": "phase", "next_phase": 4, "green_s": 20.0},
        {"kind": "phase", "next_phase": 4, "green_s": 0},
        {"kind": "phase", "next_phase": 4},
        {"kind": "cycle", "greens": []},
        {"kind": "cycle", "greens": [{"phase": 0, "green_s": 3601}]},
        {"kind": "cycle", "greens": [{"phase": 0, "green_s": 5}] * 65},
        {"kind": "plan", "steps": []},
        {"kind": "plan", "steps": [True]},
        {"kind": "plan", "steps": [{"extend": 1}]},
        {"kind": "plan", "steps": [{"extend": True}] * 241},
        {"kind": "plan", "steps": [{"extend": True}], "extend_s": 0},
    ],
)
def test_what_is_no_decision_is_refused(value: Any) -> None:  # noqa: ANN401
    """Closed and strict: nothing is dropped, converted or cut."""
    with pytest.raises(ValidationError):
        ADAPTER.validate_json(json.dumps(value))


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (Extend(extend=True), '{"extend":true,"extend_s":5,"kind":"extend"}'),
        (Extend(extend=True, extend_s=9), '{"extend":true,"extend_s":9,"kind":"extend"}'),
        (Extend(extend=False, extend_s=9), '{"extend":false,"kind":"extend"}'),
        (NextPhase(next_phase=4, green_s=20), '{"green_s":20,"kind":"phase","next_phase":4}'),
        (
            Cycle(greens=(CycleGreen(phase=0, green_s=30),)),
            '{"greens":[{"green_s":30,"phase":0}],"kind":"cycle"}',
        ),
        (plan(True, extend_s=9), '{"extend_s":9,"kind":"plan","steps":[{"extend":true}]}'),
        (plan(False, extend_s=9), '{"kind":"plan","steps":[{"extend":false}]}'),
        (
            plan(False, False, extend_s=9),
            '{"extend_s":9,"kind":"plan","steps":[{"extend":false},{"extend":false}]}',
        ),
    ],
)
def test_canonical_text_stays_as_it_is(decision: Decision, text: str) -> None:
    """Outcomes are kept under it: another text would roll everything out again."""
    assert canonical(decision) == text


@given(DECISIONS)
def test_canonical_text_is_read_back(decision: Decision) -> None:
    """As a decision of the same kind with the same text."""
    again = ADAPTER.validate_json(canonical(decision))
    assert (type(again), canonical(again)) == (type(decision), canonical(decision))


@given(DECISIONS, DECISIONS)
def test_only_seconds_without_effect_are_left_out(one: Decision, other: Decision) -> None:
    """Different decisions of one text differ in the seconds of a single no only."""
    if canonical(one) == canonical(other) and one != other:
        assert "extend_s" not in json.loads(canonical(one))


@pytest.mark.parametrize(
    ("is_yes", "elapsed_s", "remaining_s"),
    [
        (True, 0, 5),
        (True, 57, 3),
        (True, 60, 0),
        (True, 70, 0),
        (False, 0, 5),
        (False, 3.5, 1.5),
        (False, 5, 0),
        (False, 30, 0),
    ],
)
def test_extend_stays_between_minimum_and_maximum(
    is_yes: bool, elapsed_s: float, remaining_s: float
) -> None:
    """A yes is cut at the maximum, a no waits for the minimum."""
    assert Extend(extend=is_yes).remaining_s(elapsed_s, 5, 60) == remaining_s
