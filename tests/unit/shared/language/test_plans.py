"""Plans out of completions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidDecision
from shared.language.plans import MAX_STEPS, Step, format_share, plan_text, read_plan

_WORD = st.text("abcdefgh-123", min_size=1, max_size=8)
_STEPS = st.lists(st.lists(_WORD, min_size=1, max_size=4).map(tuple), min_size=1, max_size=6)


@given(_STEPS)
def test_a_plan_is_read_as_it_is_written(steps: list[Step]) -> None:
    """Writing and reading are opposites."""
    plan = read_plan(plan_text(tuple(steps)))
    assert (plan.steps, plan.is_bare) == (tuple(steps), True)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("<think>(fly)</think>(walk a)", [("walk", "a")]),
        ("Step 1: (walk a)\n2) (walk b)", [("walk", "a"), ("walk", "b")]),
        ("```\n(walk a) (walk b)\n```", [("walk", "a"), ("walk", "b")]),
        ("As (you see) it is\n(walk a) ; quickly", [("walk", "a")]),
    ],
)
def test_steps_within_other_text(text: str, steps: list[Step]) -> None:
    """Lines that are no steps, and parentheses within sentences, are passed over."""
    plan = read_plan(text)
    assert list(plan.steps) == steps


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I do not know", "no_plan"),
        ("()", "no_plan"),
        ("<think>(walk a)", "no_plan"),
        ("(walk a)\n" * (MAX_STEPS + 1), "plan_too_long"),
    ],
)
def test_what_holds_no_plan_is_invalid(text: str, code: str) -> None:
    """It has a code, and never counts as an empty plan."""
    with pytest.raises(InvalidDecision) as refused:
        read_plan(text)
    assert refused.value.code == code


def test_format() -> None:
    """A plan alone is better than one within a text, which is better than none."""
    assert [format_share(text) for text in ("(a)", "1. (a)", "a")] == [1.0, 0.0, -1.0]
