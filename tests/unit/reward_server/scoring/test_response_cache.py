"""Answers as text: byte for byte what the models say, and bounded in memory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_server.scoring.response_cache import Answer, ResponseCache, answer_key, terms_of
from shared.decisions import Extend
from shared.rewards import RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResult
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.world import GREEN, make_metrics

SCORED = ScoreResult(
    id=None,
    status="scored",
    reward=0.1,
    decision=Extend(extend=True),
    metrics=make_metrics(2.0),
    restore="state",
)
INVALID = ScoreResult(
    id=None,
    status="invalid",
    reward=-1.0,
    error=ErrorInfo(code="no_json", message='saw "ä\n"', retryable=False),
)
ITEM = ScoreItem(state_id=GREEN, tls_id="C", decision=Extend(extend=True))


@given(st.none() | st.integers() | st.text(max_size=20), st.sampled_from([SCORED, INVALID]))
def test_text_is_the_models_own(item_id: str | int | None, result: ScoreResult) -> None:
    """Whatever the caller's id is."""
    named = result.model_copy(update={"id": item_id})
    answer = Answer.of(named)
    assert answer.json(item_id) == named.model_dump_json().encode()
    assert answer.result(item_id) == named


@pytest.mark.parametrize(
    "other",
    [
        ITEM.model_copy(update={"state_id": "elsewhere"}),
        ITEM.model_copy(update={"tls_id": "D"}),
        ITEM.model_copy(update={"decision": Extend(extend=False)}),
        ITEM.model_copy(update={"decision": Extend(extend=True, extend_s=6)}),
        ScoreItem(state_id=GREEN, tls_id="C", decision_kind="extend", completion="yes"),
        ScoreItem(state_id=GREEN, decisions={"C": Extend(extend=True)}),
    ],
)
def test_other_work_has_another_key(other: ScoreItem) -> None:
    """Two items share an answer only where nothing that matters differs."""
    assert answer_key("terms", other) != answer_key("terms", ITEM)


def test_names_of_items_are_no_part_of_the_key() -> None:
    """An id or a group changes nothing about the answer."""
    named = ITEM.model_copy(update={"id": 7, "group_id": "g"})
    assert answer_key("terms", named) == answer_key("terms", ITEM)


def test_terms_tell_rewards_and_series_apart() -> None:
    """The same decision under another reward is another answer."""
    requests = [
        ScoreRequest(items=(ITEM,)),
        ScoreRequest(items=(ITEM,), series=True),
        ScoreRequest(items=(ITEM,), reward=RewardSpec(name="queue")),
        ScoreRequest(items=(ITEM,), reward=RewardSpec(invalid_reward=-2.0)),
    ]
    assert len({terms_of(request) for request in requests}) == 4


class TestResponseCache:
    """What is kept."""

    def test_memory_is_bounded(self) -> None:
        """However much comes; the last ones are there, the first ones are not."""
        hot = ResponseCache(100_000)
        for number in range(5_000):
            hot.put(("terms", number), Answer.of(SCORED))
            assert hot.size_bytes <= 100_000
        assert hot.get(("terms", 4_999)) is not None
        assert hot.get(("terms", 0)) is None
        assert 0 < len(hot) < 200

    def test_what_is_asked_for_stays(self) -> None:
        """The ones that nobody asks for go first."""
        hot = ResponseCache(10_000)
        hot.put(("terms", "wanted"), Answer.of(SCORED))
        for number in range(100):
            hot.put(("terms", number), Answer.of(SCORED))
            assert hot.get(("terms", "wanted")) is not None

    def test_bulk_work_pushes_nothing_out(self) -> None:
        """What a job asks for is kept where there is room, and goes first where there is none."""
        hot = ResponseCache(10_000)
        hot.put(("terms", "trainer's"), Answer.of(SCORED))
        for number in range(100):
            hot.put(("terms", number), Answer.of(SCORED), is_seldom_asked=True)
        assert hot.get(("terms", "trainer's")) is not None
        assert len(hot) > 2

    def test_none_is_kept_where_there_is_no_room(self) -> None:
        """0 turns the tier off."""
        hot = ResponseCache(0)
        hot.put(("terms", 1), Answer.of(SCORED))
        assert (hot.get(("terms", 1)), hot.size_bytes) == (None, 0)


async def test_memory_and_ledger_give_the_same_bytes(gateway: Gateway) -> None:
    """The answer from memory differs from the first one in `cached` and `rollouts` only."""
    items: list[dict[str, Any]] = [
        {"id": "ü", "decision": {"kind": "extend", "extend": True}},
        {"decision_kind": "extend", "completion": "nonsense"},
    ]
    first = await gateway.score(*items)
    again = await gateway.score(*items)
    expected = first.json()
    expected["results"][0]["cached"] = True
    expected["counts"] |= {"cached": 1, "rollouts": 0}
    assert again.json() == expected
    assert gateway.runner.runs.total() == 2


async def test_failures_are_not_kept(gateway: Gateway) -> None:
    """What failed is tried again the next time."""
    gateway.runner.gate.clear()
    late = await gateway.score({"decision": {"kind": "extend", "extend": True}}, timeout_s=0.01)
    assert late.status_code == 504
    gateway.runner.gate.set()
    scored = await gateway.scored({"decision": {"kind": "extend", "extend": True}})
    assert scored["counts"]["scored"] == 1
