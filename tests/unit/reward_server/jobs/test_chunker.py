"""Items read, checked and cut: all, or the first that is wrong."""

import io
from collections.abc import Iterable

import pytest

from reward_server.http.reading.documents import read_document
from reward_server.jobs.chunker import Chunker, Cut, read_lines
from reward_server.jobs.store import unpack
from shared.errors import InvalidRequest, MalformedRequest, RequestError, UnknownState
from shared.rewards import RewardSpec
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, ScoreItem, ScoreRequest
from tests.unit.reward_server.jobs.workshop import make_items

SPEC = JobSpec(reward=RewardSpec(name="queue"))
LINE = '{"state_id": "s", "tls_id": "C", "decision": {"kind": "extend", "extend": true}}'


def cut(items: Iterable[tuple[str, Item]], spec: JobSpec = SPEC, max_items: int = 100) -> Cut:
    """Cuts items in threes; the state "gone" is not known."""

    def check(item: Item) -> None:
        if isinstance(item, ScoreItem) and item.state_id == "gone":
            raise UnknownState("no state 'gone' is known here")

    return Chunker(io.BytesIO(), check, max_items, chunk_items=3).cut(spec, items)


def cut_lines(text: str, max_items: int = 100) -> Cut:
    """Cuts a file."""
    return cut(read_lines(io.BytesIO(text.encode())), max_items=max_items)


def test_pieces_hold_the_items_in_order() -> None:
    """All full but the last, and read as often as one likes."""
    items = make_items(7)
    found = cut(("", item) for item in items)
    for _ in range(2):
        chunks = list(found.chunks())
        assert [(chunk.number, chunk.items_count) for chunk in chunks] == [(0, 3), (1, 3), (2, 1)]
        lines = [line for chunk in chunks for line in unpack(chunk.items)]
        assert [ScoreItem.model_validate_json(line) for line in lines] == items
    assert found.items == 7


def test_seeds_make_pieces_smaller() -> None:
    """An item under three seeds is three rollouts and more; a chunk has one item at least."""
    for seeds, chunks in (((1, 2), 4), ((1, 2, 3), 4), (tuple(range(9)), 4), (None, 2)):
        spec = JobSpec(reward=RewardSpec(name="queue", seeds=seeds))
        found = cut((("", item) for item in make_items(4)), spec)
        assert len(list(found.chunks())) == chunks, seeds


def test_digest_is_of_what_is_asked_not_of_how() -> None:
    """Spaces, empty lines, keys in another order and a JSON body are the same; a reward is not."""
    short = cut_lines(f"{LINE}\n\r\n\n{LINE}")
    spaced = cut_lines(
        '\n{"tls_id": "C",   "decision": {"extend": true, "kind": "extend"}, "state_id": "s"}\n'
        + LINE
        + "\n"
    )
    assert short.items == spaced.items == 2
    body = ScoreRequest(
        items=(ScoreItem.model_validate_json(LINE),) * 2, reward=SPEC.reward, timeout_s=7
    )
    document = read_document("job", body.model_dump_json().encode(), 0, 1)
    as_json = cut(("items", item) for item in document.items)
    assert short.digest == spaced.digest == as_json.digest
    assert cut_lines(LINE).digest != short.digest
    other = JobSpec(reward=RewardSpec(name="wait"))
    assert cut(read_lines(io.BytesIO(LINE.encode())), other).digest != cut_lines(LINE).digest


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("nonsense", "malformed_json", "line 3: not JSON"),
        ('{"state_id": "s"}', "invalid_request", "line 3: the body: specify exactly one of"),
        (LINE.replace('"extend",', '"hold",'), "unknown_decision_kind", "line 3: decision.kind"),
        (LINE.replace("true", '"si"'), "invalid_request", "line 3: decision.extend"),
        (LINE.replace('"s"', '"gone"'), "unknown_state", "line 3: no state 'gone'"),
        ("\x00", "malformed_json", "line 3: not JSON"),
        ('{"a":' + "[0," * 40_000, "invalid_request", "line 3: it contains more values"),
        ('"' + "x" * (4 * 2**20) + '"', "invalid_request", "line 3 is longer than"),
    ],
)
def test_first_bad_line_is_named(text: str, code: str, words: str) -> None:
    """By its number, counting empty ones, and the field."""
    with pytest.raises(RequestError) as refused:
        cut_lines(f"{LINE}\n\n{text}\nworse\n")
    assert refused.value.code == code
    assert refused.value.message.startswith(words)
    assert refused.value.http_status in (404, 422)


def test_too_many_and_none_at_all() -> None:
    """Neither is a job."""
    assert cut_lines(f"{LINE}\n" * 5, max_items=5).items == 5
    with pytest.raises(InvalidRequest, match="more items than the limit of 5 per job") as refused:
        cut_lines(f"{LINE}\n" * 6, max_items=5)
    assert refused.value.code == "too_many_items"
    for text in ("", "\n\n"):
        with pytest.raises(InvalidRequest, match="no items"):
            cut_lines(text)


def test_json_body_is_refused_as_everywhere() -> None:
    """Not JSON, or not a request."""
    with pytest.raises(MalformedRequest):
        read_document("job", b'{"items": [', 0, 1)
    with pytest.raises(InvalidRequest, match=r"items\[0\]"):
        read_document("job", b'{"items": [{}]}', 0, 1)


def test_long_items_make_short_pieces() -> None:
    """A chunk is read in one stretch, however long its items are."""
    item = '{"state_id": "s", "tls_id": "C", "decision_kind": "extend", "completion": "%s"}'
    chunks = list(cut_lines((item % ("x" * 256_000) + "\n") * 6).chunks())
    assert [chunk.items_count for chunk in chunks] == [2, 2, 2]
