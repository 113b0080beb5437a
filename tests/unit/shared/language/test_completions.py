"""Reading decisions out of text."""

import json
import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decisions import Decision, DecisionKind, Extend, NextPhase, Plan
from shared.errors import InvalidDecision
from shared.language import completions
from shared.language.completions import MAX_COMPLETION_CHARS, parse_completion, render_completion
from tests.unit.shared.decided import DECISIONS, cycle, plan

KINDS: st.SearchStrategy[DecisionKind] = st.sampled_from(get_args(DecisionKind))
KEYS = ["extend", "extend_sec", "next_phase_id", "green_sec", "phase_id", "final", "x"]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["yes", "no"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)
CHATTER = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="{}[]<>\ufdd0"), max_size=40
)
REASONING = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="<\ufdd0"), max_size=40
)
MAX_MESSAGE_BYTES = 400


def parse_or_none(text: str, kind: DecisionKind) -> Decision | None:
    """The decision, or None where the text is invalid; any other error is a failed test."""
    try:
        return parse_completion(text, kind)
    except InvalidDecision as exc:
        invalid = exc
    assert invalid.code != InvalidDecision.code, "every rule has a code of its own"
    assert len(invalid.message.encode()) < MAX_MESSAGE_BYTES
    return None


def is_json(text: str) -> bool:
    """Whether a text is well formed; NaN is not."""
    try:
        json.loads(text, parse_constant=int)
    except ValueError:
        return False
    return True


def said_by(decision: Decision) -> Decision:
    """What the text of a decision can express: no seconds of a no, none of a plan."""
    if isinstance(decision, Plan) or (isinstance(decision, Extend) and not decision.extend):
        return decision.model_copy(update={"extend_s": 5})
    return decision


@given(st.text(st.characters(codec=None)), KINDS)
def test_no_text_breaks_the_parser(text: str, kind: DecisionKind) -> None:
    """Whatever a model writes is a decision or an invalid one, lone surrogates included."""
    parse_or_none(text, kind)


@given(st.text('{}[]":, \\extndyso019.-+eE\n`<>/hikpasgrcfl_u', max_size=60), KINDS)
def test_no_text_that_looks_like_json_breaks_the_parser(text: str, kind: DecisionKind) -> None:
    """Half-finished JSON too."""
    parse_or_none(text, kind)


@given(JSON_VALUES, KINDS)
def test_no_json_value_breaks_the_parser(value: object, kind: DecisionKind) -> None:
    """Wrong types, NaN, and keys in odd places; what is read is of the kind that was asked for."""
    decision = parse_or_none(json.dumps(value), kind)
    assert decision is None or decision.kind == kind


@given(DECISIONS, st.data())
def test_no_mutated_answer_breaks_the_parser(decision: Decision, data: st.DataObject) -> None:
    """Some characters of a valid answer are replaced; what is still read is of its kind."""
    text = render_completion(decision)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 3, len(text))))
    mutated = text[:start] + data.draw(st.text(max_size=3)) + text[end:]
    read = parse_or_none(mutated, decision.kind)
    assert read is None or read.kind == decision.kind


@given(DECISIONS, st.data())
def test_unfinished_answer_is_no_answer(decision: Decision, data: st.DataObject) -> None:
    """Where a model ran out of tokens nothing is read out of the part that there is."""
    text = render_completion(decision)
    size = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(InvalidDecision) as caught:
        parse_completion(text[:size], decision.kind)
    assert caught.value.code == "no_json"


@given(DECISIONS)
def test_rendered_decision_is_read_back(decision: Decision) -> None:
    """As far as a text can say it: a no and a plan have no seconds."""
    assert parse_completion(render_completion(decision), decision.kind) == said_by(decision)


@given(DECISIONS)
def test_longest_answers_are_short_enough(decision: Decision) -> None:
    """No decision with a program's phases is refused for its length."""
    assert len(render_completion(decision)) < MAX_COMPLETION_CHARS / 2


@given(DECISIONS, CHATTER, CHATTER)
def test_chatter_around_the_answer_is_ignored(decision: Decision, before: str, after: str) -> None:
    """A sentence, a code fence or white space change nothing."""
    text = before + render_completion(decision) + after
    assert parse_completion(text, decision.kind) == said_by(decision)


@given(DECISIONS, KINDS)
def test_other_kinds_are_not_read(decision: Decision, kind: DecisionKind) -> None:
    """An answer to another question is invalid."""
    read = parse_or_none(render_completion(decision), kind)
    assert (read is not None) == (decision.kind == kind)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ('```json\n{"extend": "yes"}\n```', Extend(extend=True)),
        ('<think>{"extend": "no"} perhaps?</think>\n{"extend": "yes"}', Extend(extend=True)),
        ('<think>a</think><think>[1]</think>{"extend": "yes"}', Extend(extend=True)),
        ('East [1] or {"extend": "no"}?</think>{"extend": "yes"}', Extend(extend=True)),
        ('<thinking>[0, 2]</thinking> {"extend": "yes"}', Extend(extend=True)),
        ('<THINK>{</THINK> {"extend": "yes"}', Extend(extend=True)),
        ("<think>" + "a" * 200_000 + '</think>{"extend": "yes"}', Extend(extend=True)),
        ('\x00🚦 {"extend": "yes"} 👍', Extend(extend=True)),
        (' {"extend":"yes","extend_sec":5} ', Extend(extend=True)),
        ('{"extend":"yes","extend_sec":20}', Extend(extend=True, extend_s=20)),
        ('{"next_phase_id":4,"green_sec":20}', NextPhase(next_phase=4, green_s=20)),
        (
            '```\n[{"phase_id":0,"final":30},\n {"phase_id":2,"final":20}]\n```',
            cycle((0, 30), (2, 20)),
        ),
        ('The plan (as asked): ["yes","no"].', plan(True, False)),
    ],
)
def test_wrapped_answers_are_read(text: str, decision: Decision) -> None:
    """What chat models wrap an answer in."""
    assert parse_completion(text, decision.kind) == decision


@given(JSON_VALUES, DECISIONS, st.data())
def test_broken_json_never_beats_valid_json(
    value: object, decision: Decision, data: st.DataObject
) -> None:
    """What is no answer when it is well formed is none with a character too many or too few."""
    answer = json.loads(render_completion(decision))
    value = data.draw(st.sampled_from([value, [answer], {"x": answer}, [value, answer]]))
    whole = json.dumps(value)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 1, len(whole))))
    broken = whole[:start] + data.draw(st.sampled_from(["", *",:\"{}[]x'0"])) + whole[end:]
    if is_json(broken):
        return  # still well formed: another text
    if parse_or_none(whole, decision.kind) is None:
        assert parse_or_none(broken, decision.kind) is None


@given(DECISIONS, REASONING, st.booleans())
def test_reasoning_is_not_part_of_the_answer(
    decision: Decision, reasoning: str, is_opened: bool
) -> None:
    """Drafts in it change nothing, with the opening tag or, where a template wrote it, without."""
    answer = render_completion(decision)
    text = f"{'<think>' * is_opened}{reasoning}</think>\n{answer}"
    assert parse_completion(text, decision.kind) == said_by(decision)
    cut = parse_or_none(f"<think>{reasoning}{answer}", decision.kind)
    assert cut is None, "a block that is never closed holds no answer"


DEGENERATE = [
    *(
        "{",
        "[",
        '{"a":',
        '{"a":1,',
        '{"',
        "}",
        '"',
        "{}",
        "[[1]]",
        "[[[[[{}]]]]]",
        '{"extend":"yes"}',
    ),
    *("<think>", "</think>", "<", "```", "9", "1.5,", "\\u", "é{", "\ufdd0", "\ud83d"),
]
"""What models that have collapsed, or attackers, repeat."""


class CountingDecoder:
    """Python's own, and at how many brackets it began."""

    def __init__(self) -> None:
        self.decoder = completions._DECODER
        self.begun = 0

    def raw_decode(self, text: str, place: int) -> tuple[object, int]:
        """As the decoder has it."""
        self.begun += 1
        return self.decoder.raw_decode(text, place)


@pytest.mark.parametrize("piece", DEGENERATE)
def test_degenerate_completions_are_decoded_twice_at_most(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each bracket, of which there may be tens of thousands."""
    decoder = CountingDecoder()
    monkeypatch.setattr(completions, "_DECODER", decoder)
    for size in (MAX_COMPLETION_CHARS, 40_000):
        decoder.begun = 0
        parse_or_none((piece * size)[:size], "extend")
        assert decoder.begun <= 2


@pytest.mark.parametrize("piece", DEGENERATE)
def test_degenerate_completions_are_read_in_linear_time(piece: str) -> None:
    """Sixteen times the text takes no more than about sixteen times as long."""

    def seconds(size: int) -> float:
        text = "<think></think>" + (piece * size)[:size]
        began = time.process_time()
        for _ in range(20):
            parse_or_none(text, "extend")
        return (time.process_time() - began) / 20

    pairs = [(seconds(1_000), seconds(16_000)) for _ in range(5)]
    assert min(long / max(short, 2e-5) for short, long in pairs) < 64


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("extend", "", "no_json"),
        ("extend", "yes", "no_json"),
        ("extend", '{"extend": "yes"', "no_json"),
        ("extend", '{"answer": {"extend": "yes"}', "no_json"),
        ("extend", '[{"extend": "yes"}, "and then', "no_json"),
        ("extend", "[[[[[[", "no_json"),
        ("extend", "[" * MAX_COMPLETION_CHARS, "no_json"),
        ("extend", '{"extend": NaN}', "no_json"),
        ("extend", f'{{"extend": "yes", "extend_sec": {"9" * 5000}}}', "no_json"),
        ("extend", '{"extend": "yes"} {"extend": "yes"}', "several_answers"),
        ("extend", '{"extend": "yes"} see [1]', "several_answers"),
        ("extend", '{"extend": "yes"} see [1,]', "stray_bracket"),
        ("extend", '{"extend": "yes"} {"extend": "no"', "stray_bracket"),
        ("extend", '{"extend": "yes"}]', "stray_bracket"),
        ("extend", 'The plan [as asked]: {"extend": "yes"}', "no_json"),
        ("extend", '{"decision": {"extend": "yes"},}', "no_json"),
        ("extend", '[{"extend": "yes"},]', "no_json"),
        ("extend", '{\'decision\': {"extend": "yes"}}', "no_json"),
        ("extend", '{{"extend": "yes"}}', "no_json"),
        ("extend", '{"why": "x" "decision": {"extend": "yes"}}', "no_json"),
        ("extend", '{"sure": NaN, "decision": {"extend": "yes"}}', "no_json"),
        ("extend", '{"extend": "yes", "extend_sec": Infinity}', "no_json"),
        ("extend", '<think>never closed {"extend": "yes"}', "unfinished_reasoning"),
        ("extend", '{"extend": "yes"}<think>or not', "unfinished_reasoning"),
        ("extend", '<think>a</think><think>{"extend": "yes"}', "unfinished_reasoning"),
        ("extend", "<thinking>" + "x" * 20_000, "unfinished_reasoning"),
        ("extend", '{"extend": "yes"} <think>[1]</think>', "no_json"),
        ("extend", '{"extend": "yes"}</think>\n', "no_json"),
        ("extend", '\ud83d {"extend": "yes"}', "not_unicode"),
        ("extend", '\ufdd0 {"extend": "yes"}', "not_unicode"),
        ("extend", "</think>" + "x" * (MAX_COMPLETION_CHARS + 1), "too_long"),
        ("extend", '{"extend": "yes", "extend": "no"}', "duplicate_keys"),
        ("extend", "{}", "wrong_keys"),
        ("extend", '["yes"]', "wrong_keys"),
        ("extend", '[{"extend": "yes"}]', "wrong_keys"),
        ("extend", '{"extend": "yes", "why": "queue"}', "wrong_keys"),
        ("extend", '{"extend": true}', "wrong_value"),
        ("extend", '{"extend": "YES"}', "wrong_value"),
        ("extend", '{"extend": ["yes"]}', "wrong_value"),
        ("extend", '{"extend": "yes", "extend_sec": "5"}', "not_an_integer"),
        ("extend", '{"extend": "yes", "extend_sec": 5.0}', "not_an_integer"),
        ("extend", '{"extend": "yes", "extend_sec": true}', "not_an_integer"),
        ("extend", '{"extend": "yes", "extend_sec": 0}', "out_of_range"),
        ("extend", '{"extend": "yes", "extend_sec": 3601}', "out_of_range"),
        ("extend", "x" * (MAX_COMPLETION_CHARS + 1), "too_long"),
        ("phase", '{"next_phase_id": 4', "no_json"),
        ("phase", '{"next_phase_id": 4}', "wrong_keys"),
        ("phase", '{"green_sec": 20}', "wrong_keys"),
        ("phase", '{"next_phase": 4, "green_s": 20}', "wrong_keys"),
        ("phase", '{"next_phase_id": 4, "green_sec": 20, "x": 1}', "wrong_keys"),
        ("phase", '{"next_phase_id": "4", "green_sec": 20}', "not_an_integer"),
        ("phase", '{"next_phase_id": 4, "green_sec": 20.5}', "not_an_integer"),
        ("phase", '{"next_phase_id": -1, "green_sec": 20}', "out_of_range"),
        ("phase", '{"next_phase_id": 4, "green_sec": 0}', "out_of_range"),
        ("phase", '{"next_phase_id": 4, "next_phase_id": 2, "green_sec": 9}', "duplicate_keys"),
        ("cycle", '[{"phase_id": 0, "final": 30},', "no_json"),
        ("cycle", '{"phase_id": 0, "final": 30}', "not_a_list"),
        ("cycle", '{"0": 30, "2": 20}', "not_a_list"),
        ("cycle", "[]", "empty"),
        ("cycle", json.dumps([{"phase_id": 0, "final": 30}] * 65), "too_many"),
        ("cycle", "[30, 20]", "wrong_keys"),
        ("cycle", '[{"phase_id": 0}]', "wrong_keys"),
        ("cycle", '[{"phase_id": 0, "final": null}]', "not_an_integer"),
        ("cycle", '[{"phase_id": 0, "final": 3601}]', "out_of_range"),
        ("cycle", '[{"phase_id": 0, "final": 30}, {"phase_id": -2, "final": 30}]', "out_of_range"),
        ("cycle", '[{"phase_id": 0, "phase_id": 2, "final": 30}]', "duplicate_keys"),
        (
            "cycle",
            '[{"phase_id": 0, "final": 30}] [{"phase_id": 0, "final": 30}]',
            "several_answers",
        ),
        ("plan", '["yes", "no"', "no_json"),
        ("plan", "['yes', 'no']", "no_json"),
        ("plan", '{"plan": ["yes", "no"]}', "not_a_list"),
        ("plan", "[]", "empty"),
        ("plan", json.dumps(["no"] * 241), "too_many"),
        ("plan", '["yes", "maybe"]', "wrong_value"),
        ("plan", "[true, false]", "wrong_value"),
        ("plan", '[["yes", "no"]]', "wrong_value"),
        ("plan", '["yes"] ["no"]', "several_answers"),
    ],
)
def test_each_broken_rule_has_its_code(kind: DecisionKind, text: str, code: str) -> None:
    """A trainer's statistics can tell them apart."""
    with pytest.raises(InvalidDecision) as caught:
        parse_completion(text, kind)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("extend", "Keep it.", 'expected a JSON object or list, saw "Keep it."'),
        (
            "extend",
            '{"answer": "yes"}',
            'expected an object with the key "extend" and perhaps "extend_sec", '
            'saw an object with the keys "answer"',
        ),
        ("extend", '{"extend": 1}', 'expected "extend" to be "yes" or "no", saw 1'),
        (
            "phase",
            '{"next_phase_id": 2, "green_sec": 4000}',
            'expected "green_sec" to be from 1 to 3600, saw 4000',
        ),
        (
            "cycle",
            '[{"phase_id": 0, "final": 30}, {}]',
            'expected item 2 to be an object with the keys "phase_id" and "final", '
            "saw an empty object",
        ),
        (
            "cycle",
            '[{"phase_id": 0, "final": "30"}]',
            'expected "final" of item 1 to be a whole number, saw "30"',
        ),
        ("plan", '["yes", "\\ud800"]', 'expected item 2 to be "yes" or "no", saw "\\ud800"'),
        ("plan", '{"a": 1, "a": 2}', 'expected each key once, saw "a" twice'),
        ("plan", "[1] {}", "expected one JSON value, saw a list of 1 and an empty object"),
        (
            "plan",
            '["yes"] and [so',
            "expected one JSON value and no bracket beside it, "
            'saw a list of 1 and a bracket of no JSON value: "[so"',
        ),
        (
            "plan",
            "<think>East",
            "expected an answer after the reasoning, saw no end of it",
        ),
    ],
)
def test_messages_say_what_was_expected_and_seen(
    kind: DecisionKind, text: str, message: str
) -> None:
    """A person who reads the log need not look for the text."""
    with pytest.raises(InvalidDecision) as caught:
        parse_completion(text, kind)
    assert caught.value.message == message


def test_rendering_leaves_out_what_has_no_effect() -> None:
    """So that a perfect model's text is the shortest."""
    assert render_completion(Extend(extend=False, extend_s=9)) == '{"extend": "no"}'
