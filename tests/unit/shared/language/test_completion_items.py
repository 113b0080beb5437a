"""A completion as an item: whose seconds a yes has."""

import pytest

from shared.decisions import Decision, DecisionKind, Extend
from shared.language.completion_items import Situation
from tests.unit.shared.decided import plan


@pytest.mark.parametrize(
    ("kind", "text", "decision"),
    [
        ("extend", '{"extend": "yes"}', Extend(extend=True, extend_s=10)),
        ("extend", '{"extend": "yes", "extend_sec": 5}', Extend(extend=True, extend_s=5)),
        ("extend", '{"extend": "yes", "extend_sec": 20}', Extend(extend=True, extend_s=20)),
        ("plan", '["yes", "no"]', plan(True, False, extend_s=10)),
    ],
)
def test_only_a_yes_without_seconds_takes_those_of_the_prompt(
    kind: DecisionKind, text: str, decision: Decision
) -> None:
    """One that says the usual five means five."""
    situation = Situation(state_id="a@1-0123456789ab", tls_id="C", decision_kind=kind)
    item = situation.item(text, extend_s=10)
    assert (item.decision, item.completion) == (decision, None)


@pytest.mark.parametrize(("text", "extend_s"), [('{"extend": "yes"}', 5), ("perhaps", 10)])
def test_the_text_goes_where_it_says_all_or_nothing(text: str, extend_s: int) -> None:
    """The service reads it, and says what is wrong with it."""
    situation = Situation(state_id="a@1-0123456789ab", tls_id="C", decision_kind="extend")
    item = situation.item(text, extend_s)
    assert (item.decision, item.completion) == (None, text)
