"""Half of a surrogate pair in one completion of a batch."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidDecision
from shared.language.completion_items import Situation
from shared.language.completions import MAX_SENT_CHARS, parse_completion
from shared.language.surrogates import HALF_PAIR, mark_half_pairs, mark_half_pairs_in_json
from shared.wire.scoring import ScoreItem, ScoreRequest

YES = '{"extend": "yes"}'
PLACE = Situation(state_id="a@1-00", tls_id="C", decision_kind="extend")


def codes(request: ScoreRequest) -> list[str | None]:
    """What is wrong with each completion of a request."""
    found: list[str | None] = []
    for item in request.items:
        try:
            parse_completion(item.completion or "", "extend")
        except InvalidDecision as exc:
            found.append(exc.code)
        else:
            found.append(None)
    return found


def test_one_completion_of_a_request_is_invalid() -> None:
    """As any client may write it, in escapes; emoji and NUL are text."""
    texts = [YES, f"\ud83d {YES}", f"🚦 {YES}", f"\x00{YES}", f"\\ud83d {YES}"]
    items = [dict(PLACE) | {"completion": text} for text in texts]
    request = ScoreRequest.model_validate_json(json.dumps({"items": items}))
    assert codes(request) == [None, "not_unicode", None, None, None]
    assert request.items[2].completion == texts[2]
    assert request.items[4].completion == texts[4]


def test_a_client_can_send_it() -> None:
    """What it makes of a completion is UTF-8, and is invalid on the other side."""
    request = ScoreRequest(items=(PLACE.item(f"{YES}\udea6"), PLACE.item(f"\ud83d\udea6{YES}")))
    received = ScoreRequest.model_validate_json(request.model_dump_json())
    assert codes(received) == ["not_unicode", None]
    assert received.items[1].completion == f"🚦{YES}"


def test_other_wrong_json_is_as_wrong_as_before() -> None:
    """Nothing else is mended."""
    with pytest.raises(ValueError, match="Invalid JSON"):
        ScoreItem.model_validate_json('{"state_id": "\\ud83d')
    with pytest.raises(ValueError, match="tls_id"):
        ScoreItem.model_validate_json('{"state_id": "s", "completion": "\\ud83d"}')


@given(st.text(st.characters(codec=None)))
def test_marking_leaves_text_that_can_be_sent(text: str) -> None:
    """In a text and in the JSON document of it alike; what could be sent is left as it is."""
    marked = mark_half_pairs(text)
    assert marked.encode().decode() == marked
    assert json.loads(mark_half_pairs_in_json(json.dumps(text).encode())) == marked
    if HALF_PAIR not in marked:
        assert marked == text.encode("utf-16", "surrogatepass").decode("utf-16")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<think>" + "x" * MAX_SENT_CHARS + f"</think>{YES}", None),
        ("<think>" + "x" * MAX_SENT_CHARS + YES, "unfinished_reasoning"),
        ("x" * MAX_SENT_CHARS + f"{YES}", "too_long"),
        (f"{YES}</think>" + "x" * MAX_SENT_CHARS, "too_long"),
    ],
)
def test_what_is_too_long_to_be_sent_is_read_as_the_whole(text: str, code: str | None) -> None:
    """The reasoning is left out, for it does not count."""
    item = PLACE.item(text)
    assert codes(ScoreRequest(items=(item,))) == [code]
    assert len(item.completion or "") < MAX_SENT_CHARS
