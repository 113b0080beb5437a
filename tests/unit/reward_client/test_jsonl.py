"""Files of decisions: results match lines one to one, whatever is in them."""

import json
from typing import Any

import httpx
import pytest

from reward_client import RetryPolicy, RewardClient
from reward_client.batches import Terms
from reward_client.jsonl import Batch, LineScorer, read_lines
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from tests.unit.reward_client.fake_service import problem, scored

TERMS = Terms(RewardSpec(), 30.0, False)


def line(number: int, **changes: Any) -> bytes:  # noqa: ANN401  JSON values
    """An item as a line; its id is its number."""
    item = {"id": number, "state_id": "known", "tls_id": "C", "decision": {"extend": True}}
    return json.dumps(item | changes).encode() + b"\n"


class Picky:
    """A service that refuses requests in which anything is unknown."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answers like the gateway."""
        self.requests += 1
        items = json.loads(request.content)["items"]
        if any(item["state_id"] != "known" for item in items):
            return problem(404, "unknown_state")
        if any({item.get("tls_id", "C"), *item.get("decisions", {})} - {"C"} for item in items):
            return problem(404, "unknown_signal")
        return scored(request)


async def score(texts: list[bytes], service: Any, size: int = 100) -> list[Batch]:  # noqa: ANN401
    """Scores lines without ever waiting."""
    retry = RetryPolicy(retries=0)
    transport = httpx.MockTransport(service)
    async with RewardClient("http://service", retry=retry, transport=transport) as client:
        batches = LineScorer(client, TERMS).score(read_lines(texts, size))
        return [batch async for batch in batches]


async def test_bad_lines_fail_alone() -> None:
    """Each has its code, and the lines around it have their rewards."""
    texts = [
        line(0),
        b'{"cut\n',
        b"\n",
        line(3, decision={"kind": "hold"}),
        line(4, state_id="nowhere"),
        line(5, tls_id="Z"),
        line(6, colour="red"),
        line(7).rstrip(),
    ]
    (batch,) = await score(texts, Picky())
    codes = [result.error.code if result.error else None for result in batch.results]
    assert codes == [
        None,
        "malformed_json",
        "malformed_json",
        "unknown_decision_kind",
        "unknown_state",
        "unknown_signal",
        "invalid_request",
        None,
    ]
    assert [result.reward for result in batch.results] == [0.0] + [None] * 6 + [7.0]
    assert [ln.number for ln in batch.lines] == list(range(1, 9))


async def test_unknown_state_is_asked_for_once() -> None:
    """A file made for other states does not become a storm of requests."""
    service = Picky()
    batches = await score([line(i, state_id="nowhere") for i in range(64)], service)
    assert {r.status for batch in batches for r in batch.results} == {"failed"}
    assert service.requests < 10


def joint(number: int, *tls_ids: str) -> bytes:
    """An item with decisions at several signals."""
    decisions = {tls_id: {"kind": "extend", "extend": True} for tls_id in tls_ids}
    return json.dumps({"id": number, "state_id": "known", "decisions": decisions}).encode()


async def test_lines_with_several_signals_fail_alone_too() -> None:
    """What is remembered of some signals is not said of others."""
    texts = [joint(0, "C", "Z"), joint(1, "C"), line(2), joint(3, "Z", "C"), line(4, tls_id="Z")]
    service = Picky()
    batches = await score(texts, service, size=1)
    codes = [r.error.code if r.error else None for batch in batches for r in batch.results]
    assert codes == ["unknown_signal", None, None, "unknown_signal", "unknown_signal"]
    assert service.requests == 4


async def test_batches_are_of_the_size_asked_for() -> None:
    """The last one holds the rest."""
    batches = await score([line(i) for i in range(7)], scored, size=3)
    assert [len(batch.lines) for batch in batches] == [3, 3, 1]
    assert [r.id for batch in batches for r in batch.results] == list(range(7))


@pytest.mark.parametrize("code", ["overloaded", "deadline_exceeded"])
async def test_busy_service_fails_lines_and_goes_on(code: str) -> None:
    """It is there: the next batch may fare better."""
    answers = [problem(503, code), None]

    def service(request: httpx.Request) -> httpx.Response:
        return answers.pop(0) or scored(request)

    first, second = await score([line(0), line(1)], service, size=1)
    assert first.results[0].error is not None
    assert (first.results[0].error.code, second.results[0].reward) == (code, 1.0)


async def test_service_that_is_gone_ends_it() -> None:
    """There is no use in asking on."""

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ServiceUnreachable):
        await score([line(0)], gone)


async def test_refused_key_ends_it() -> None:
    """It concerns every line."""
    with pytest.raises(ServiceRefused):
        await score([line(0), line(1)], lambda request: problem(401, "unauthorized"))


async def test_lines_of_other_domains() -> None:
    """They are sent as they are; an unknown problem fails alone and is asked for once."""
    sent: list[dict[str, Any]] = []

    def service(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        sent.extend(items)
        if any(item["problem_id"] == "gone" for item in items):
            return problem(404, "unknown_problem")
        return scored(request)

    def plan(number: int, problem_id: str = "p") -> bytes:
        said = {"domain": "planning", "problem_id": problem_id, "completion": "(a)"}
        return json.dumps({"id": number} | said).encode()

    texts = [plan(0), plan(1, "gone"), plan(2, "gone"), b'{"domain": "planning", "tls_id": "C"}']
    batches = await score(texts, service, size=1)
    codes = [r.error.code if r.error else None for batch in batches for r in batch.results]
    assert codes == [None, "unknown_problem", "unknown_problem", "invalid_request"]
    assert [(item["id"], item["problem_id"]) for item in sent] == [(0, "p"), (1, "gone")]
