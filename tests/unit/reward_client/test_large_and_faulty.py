"""Batches that are too large for what stands before a service, and services that fail at one."""

import httpx
import pytest

from reward_client import ClientOptions, RetryPolicy, RewardClient
from reward_client.batches import chunked
from reward_client.jobs import JobClient
from shared.errors import ServiceRefused
from shared.language.completion_items import Situation
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem
from tests.unit.reward_client.fake_service import Service, Waits, problem, scored

SITUATION = Situation(state_id="s@1-aaaaaaaaaaaa", tls_id="C", decision_kind="extend")


def texts(*chars: int, group: str | None = None) -> list[ScoreItem]:
    """Completions of so many characters, numbered."""
    items = [SITUATION.item("é" * count, group_id=group) for count in chars]
    return [item.model_copy(update={"id": number}) for number, item in enumerate(items)]


def client_of(service: Service, retries: int = 3, max_bytes: int = 10_000) -> RewardClient:
    """A client that sends one request at a time and never really waits."""
    return RewardClient(
        "http://service",
        options=ClientOptions(max_request_bytes=max_bytes, max_concurrency=1),
        retry=RetryPolicy(retries=retries, rand=lambda: 1.0, sleep=Waits()),
        transport=httpx.MockTransport(service),
    )


def takes(limit: int, answer: httpx.Response) -> Service:
    """Scores what is at most so many bytes."""

    class Narrow(Service):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return scored(request) if len(request.content) <= limit else answer

    return Narrow()


NGINX = httpx.Response(413, text="<html>413 Request Entity Too Large</html>")


def test_pieces_are_cut_by_bytes_as_they_are_sent() -> None:
    """Characters of two bytes count as two; a single item is a piece whatever its size."""
    pieces = chunked(texts(100, 100, 5000, 100), 512, 1000)
    assert [len(piece) for piece in pieces] == [2, 1, 1]


def test_bytes_keep_groups_together_where_they_fit() -> None:
    """As numbers of items do."""
    items = [*texts(100, group="a"), *texts(100, 100, group="b"), *texts(100, group="c")]
    assert [len(piece) for piece in chunked(items, 512, 800)] == [1, 2, 1]


async def test_no_request_is_larger_than_the_client_may_send() -> None:
    """And the answers come in order."""
    service = Service()
    async with client_of(service) as client:
        response = await client.score(texts(*[1000] * 20), RewardSpec())
    assert len(service.requests) > 1
    assert max(len(request.content) for request in service.requests) < 10_500
    assert [result.reward for result in response.results] == [float(i) for i in range(20)]


@pytest.mark.parametrize(
    "answer", [NGINX, problem(413, "body_too_large"), problem(422, "too_many_items")]
)
async def test_what_is_too_large_is_halved_until_it_is_taken(answer: httpx.Response) -> None:
    """Also where the service itself takes fewer items; every one is scored once."""
    service = takes(3000, answer)
    async with client_of(service) as client:
        response = await client.score(texts(*[1000] * 4, 10, 10), RewardSpec())
    assert [result.reward for result in response.results] == [float(i) for i in range(6)]
    taken = [ids for ids, request in zip(service.sent_ids(), service.requests, strict=True)
             if len(request.content) <= 3000]  # fmt: skip
    assert sorted(number for ids in taken for number in ids) == list(range(6))


async def test_what_was_learnt_holds_for_the_next_batch() -> None:
    """Which is not sent too large a second time."""
    service = takes(4000, NGINX)
    async with client_of(service) as client:
        await client.score(texts(*[500] * 8), RewardSpec())
        before = len(service.requests)
        await client.score(texts(*[500] * 8), RewardSpec())
    assert all(len(request.content) <= 4000 for request in service.requests[before:])


async def test_item_that_is_too_large_alone_fails_alone() -> None:
    """With the reason and the cure; the others have their rewards."""
    async with client_of(takes(3000, NGINX)) as client:
        response = await client.score(texts(10, 4000, 10), RewardSpec())
    assert [result.reward for result in response.results] == [0.0, None, 2.0]
    error = response.results[1].error
    assert error is not None
    assert error.code == "body_too_large"
    assert "client_max_body_size" in error.message


async def test_batch_of_which_nothing_is_taken_is_refused() -> None:
    """There is no answer to make a response of."""
    async with client_of(takes(10, NGINX)) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.score(texts(10, 10), RewardSpec())
    assert caught.value.code == "body_too_large"


@pytest.mark.parametrize("status", [500, 520, 599])
async def test_one_fault_is_forgiven(status: int) -> None:
    """Rewards are exact, so asking once more is right; a second one is believed."""
    fault = httpx.Response(status, text="Internal Server Error")
    service = Service(fault)
    async with client_of(service) as client:
        response = await client.score(texts(10), RewardSpec())
        assert response.results[0].reward == 0.0
        service.script = [fault, fault]
        with pytest.raises(ServiceRefused, match=str(status)):
            await client.score(texts(10), RewardSpec())
    assert len(service.requests) == 4


@pytest.mark.parametrize(("status", "retries"), [(501, 3), (505, 3), (500, 0)])
async def test_fault_that_asking_again_cannot_help_is_believed(status: int, retries: int) -> None:
    """And one is never asked about again where nothing is."""
    service = Service(httpx.Response(status))
    async with client_of(service, retries) as client:
        with pytest.raises(ServiceRefused):
            await client.score(texts(10), RewardSpec())
    assert len(service.requests) == 1


async def test_one_fault_while_a_job_is_sent_is_forgiven() -> None:
    """It goes under a key, so that twice is once."""
    fault, keys = httpx.Response(500), list[str]()
    answers = [fault, problem(409, "idempotency_conflict"), fault, fault]

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return answers.pop(0)

    retry, transport = RetryPolicy(sleep=Waits()), httpx.MockTransport(answer)
    async with JobClient("http://service", retry=retry, transport=transport) as client:
        with pytest.raises(ServiceRefused, match="409"):
            await client.submit(texts(10), key="k")
        with pytest.raises(ServiceRefused, match="500"):
            await client.submit(texts(10), key="k")
    assert keys == ["k"] * 4
