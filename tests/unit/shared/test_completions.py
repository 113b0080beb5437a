"""Reading decisions out of text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.completions import MAX_COMPLETION_CHARS, parse_completion, render_completion
from shared.decisions import Extend, canonical
from shared.errors import InvalidDecision

DECISIONS = st.builds(Extend, extend=st.booleans(), extend_s=st.integers(1, 3600))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["extend", "extend_sec", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
CHATTER = st.text(st.characters(exclude_characters="{}[]<>"), max_size=40)


def parse_or_none(text: str) -> Extend | None:
    """The decision, or None where the text is invalid; any other error is a failed test."""
    try:
        return parse_completion(text, "extend")
    except InvalidDecision:
        return None


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a model writes is a decision or an invalid one."""
    parse_or_none(text)


@given(st.text('{}[]":, \\extndyso019.-+eE\n`<>/hik', max_size=60))
def test_no_text_that_looks_like_json_breaks_the_parser(text: str) -> None:
    """Half-finished JSON too."""
    parse_or_none(text)


@given(JSON_VALUES)
def test_no_json_value_breaks_the_parser(value: object) -> None:
    """Wrong types, NaN, and keys in odd places."""
    decision = parse_or_none(json.dumps(value))
    assert decision is None or isinstance(decision, Extend)


@given(DECISIONS)
def test_rendered_decision_is_read_back(decision: Extend) -> None:
    """With the same effect: a no has no seconds."""
    again = parse_completion(render_completion(decision), "extend")
    assert canonical(again) == canonical(decision)


@given(DECISIONS, CHATTER, CHATTER)
def test_chatter_around_the_answer_is_ignored(decision: Extend, before: str, after: str) -> None:
    """A sentence, a code fence or white space change nothing."""
    rendered = render_completion(decision)
    assert parse_completion(before + rendered + after, "extend") == parse_completion(
        rendered, "extend"
    )


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"extend": "yes"}\n```',
        '<think>{"extend": "no"} perhaps?</think>\n{"extend": "yes"}',
        ' {"extend":"yes","extend_sec":5} ',
    ],
)
def test_wrapped_answers_are_read(text: str) -> None:
    """What chat models wrap an answer in."""
    assert parse_completion(text, "extend") == Extend(extend=True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_json"),
        ("yes", "no_json"),
        ('{"extend": "yes"', "no_json"),
        ("[[[[[[", "no_json"),
        ('{"extend": NaN}', "no_json"),
        ('{"extend": "yes"} {"extend": "yes"}', "several_answers"),
        ('{"extend": "yes", "extend": "no"}', "duplicate_keys"),
        ("{}", "wrong_keys"),
        ('["yes"]', "wrong_keys"),
        ('{"extend": "yes", "why": "queue"}', "wrong_keys"),
        ('{"extend": true}', "wrong_value"),
        ('{"extend": "YES"}', "wrong_value"),
        ('{"extend": "yes", "extend_sec": "5"}', "not_an_integer"),
        ('{"extend": "yes", "extend_sec": 5.0}', "not_an_integer"),
        ('{"extend": "yes", "extend_sec": true}', "not_an_integer"),
        ('{"extend": "yes", "extend_sec": 0}', "out_of_range"),
        ('{"extend": "yes", "extend_sec": 3601}', "out_of_range"),
        ("x" * (MAX_COMPLETION_CHARS + 1), "too_long"),
    ],
)
def test_each_broken_rule_has_its_code(text: str, code: str) -> None:
    """A trainer's statistics can tell them apart."""
    with pytest.raises(InvalidDecision) as caught:
        parse_completion(text, "extend")
    assert caught.value.code == code
