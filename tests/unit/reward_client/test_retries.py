"""What the client sends again, how often, and after what time."""

import httpx
import pytest

from reward_client import RetryPolicy, RewardClient
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from tests.unit.reward_client.fake_service import (
    Answer,
    Handler,
    Service,
    Waits,
    client_of,
    items,
    problem,
    scored,
)


async def test_only_failed_items_are_sent_again() -> None:
    """What has its number keeps it."""
    service = Service(lambda r: scored(r, [1, 3]), lambda r: scored(r, [3]))
    async with client_of(service, Waits()) as client:
        response = await client.score(items(4), RewardSpec())
    assert service.sent_ids() == [[0, 1, 2, 3], [1, 3], [3]]
    assert [r.reward for r in response.results] == [0.0, 1.0, 2.0, 3.0]
    assert (response.counts.scored, response.counts.failed, response.counts.rollouts) == (4, 0, 7)


async def test_failures_that_a_retry_cannot_help_stay() -> None:
    """They are sent once."""
    service = Service(lambda r: scored(r, [0], retryable=False))
    async with client_of(service, Waits()) as client:
        response = await client.score(items(2), RewardSpec())
    assert [r.reward for r in response.results] == [None, 1.0]
    assert len(service.requests) == 1


async def test_items_that_go_on_failing_are_null() -> None:
    """After the last retry a failure is a failure, never a number."""
    service = Service(*[lambda r: scored(r, [0])] * 10)
    async with client_of(service, Waits(), retries=2) as client:
        response = await client.score(items(2), RewardSpec())
    assert (response.results[0].status, response.results[0].reward) == ("failed", None)
    assert len(service.requests) == 3


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
        httpx.DecodingError("not gzip"),
        problem(408, "body_too_slow"),
        httpx.Response(502, text="<html>a proxy</html>"),
        problem(503, "overloaded"),
        problem(504, "deadline_exceeded"),
        httpx.Response(503, text="<html>a proxy</html>"),
    ],
)
async def test_trouble_that_passes_is_overcome(trouble: Answer) -> None:
    """Rewards are exact, so sending again is always right."""
    service, waits = Service(trouble, trouble), Waits()
    async with client_of(service, waits) as client:
        response = await client.score(items(1), RewardSpec())
    assert response.results[0].reward == 0.0
    assert waits.seconds == [0.25, 0.5]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(status: int) -> None:
    """The service is not asked before the time it named."""
    service, waits = Service(problem(status, "overloaded", **{"Retry-After": "7"})), Waits()
    async with client_of(service, waits) as client:
        await client.score(items(1), RewardSpec())
    assert waits.seconds == [7.25]


class Clock(Waits):
    """Time that passes with every wait, and with every answer."""

    now_s = 0.0

    async def __call__(self, seconds: float) -> None:
        """Returns at once."""
        await super().__call__(seconds)
        self.now_s += seconds

    def answered(self, seconds: float, answer: Answer) -> Handler:
        """An answer that takes its time."""

        def handle(request: httpx.Request) -> httpx.Response:
            self.now_s += seconds
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle


@pytest.mark.parametrize(
    ("trouble", "sent"),
    [
        (httpx.ReadTimeout("slow"), 4),
        (problem(503, "overloaded", **{"Retry-After": "50"}), 2),
        (problem(503, "overloaded", **{"Retry-After": "100"}), 2),
    ],
)
async def test_waiting_ends_in_time(trouble: Answer, sent: int) -> None:
    """What is asked for again begins before the total is over, however many retries are left."""
    clock = Clock()
    service = Service(*[clock.answered(30, trouble)] * 99)
    retry = RetryPolicy(
        retries=50, total_s=100, rand=lambda: 1.0, sleep=clock, clock=lambda: clock.now_s
    )
    async with RewardClient("http://s", retry=retry, transport=httpx.MockTransport(service)) as c:
        with pytest.raises(ServiceUnreachable):
            await c.score(items(1), RewardSpec())
    assert len(service.requests) == sent
    assert clock.now_s <= 100 + 30


async def test_failed_items_are_not_asked_for_for_ever() -> None:
    """The same bound holds for what came back failed: it stays so."""
    clock = Clock()
    service = Service(*[lambda r: clock.answered(30, scored(r, [1]))(r)] * 99)
    retry = RetryPolicy(retries=50, total_s=100, sleep=clock, clock=lambda: clock.now_s)
    async with RewardClient("http://s", retry=retry, transport=httpx.MockTransport(service)) as c:
        response = await c.score(items(2), RewardSpec())
    assert [r.reward for r in response.results] == [0.0, None]
    assert service.sent_ids() == [[0, 1], [1], [1], [1]]


async def test_service_that_does_not_answer_raises() -> None:
    """After bounded retries, and the message names the URL."""
    service, waits = Service(*[httpx.ConnectError("refused")] * 10), Waits()
    async with client_of(service, waits) as client:
        with pytest.raises(ServiceUnreachable, match="http://service") as caught:
            await client.score(items(1), RewardSpec())
    assert (len(service.requests), caught.value.code) == (4, "service_unreachable")


async def test_service_that_stays_busy_raises_its_code() -> None:
    """So that a caller can tell busy from gone."""
    service = Service(*[problem(503, "overloaded")] * 10)
    async with client_of(service, Waits()) as client:
        with pytest.raises(ServiceUnreachable) as caught:
            await client.score(items(1), RewardSpec())
    assert caught.value.code == "overloaded"


@pytest.mark.parametrize(
    ("status", "code"), [(401, "unauthorized"), (404, "unknown_state"), (413, "body_too_large")]
)
async def test_refusal_is_not_retried(status: int, code: str) -> None:
    """It carries the problem's code and detail."""
    service = Service(problem(status, code))
    async with client_of(service, Waits()) as client:
        with pytest.raises(ServiceRefused, match="D") as caught:
            await client.score(items(1), RewardSpec())
    assert (caught.value.code, len(service.requests)) == (code, 1)


async def test_lost_chunk_fails_its_items_only() -> None:
    """Where others were answered, their numbers are kept."""
    lost = [httpx.ConnectError("refused")]
    service = Service(scored, *lost * 10)
    async with client_of(service, Waits(), retries=1, size=1) as client:
        response = await client.score(items(2), RewardSpec())
    assert sorted(r.status for r in response.results) == ["failed", "scored"]
    assert response.counts.failed == 1


async def test_service_lost_between_retries_leaves_what_is_known() -> None:
    """The first answer's numbers and reasons stand."""
    service = Service(lambda r: scored(r, [1]), *[httpx.ConnectError("refused")] * 10)
    async with client_of(service, Waits()) as client:
        response = await client.score(items(2), RewardSpec())
    assert response.results[0].reward == 0.0
    assert response.results[1].error is not None
    assert response.results[1].error.code == "worker_lost"


@pytest.mark.parametrize(
    ("attempt", "retry_after_s", "rand", "expected"),
    [
        (0, None, 0.0, 0.125),
        (0, None, 1.0, 0.25),
        (9, None, 1.0, 8.0),
        (2000, None, 1.0, 8.0),
        (0, 3600, 1.0, 60.25),
    ],
)
def test_delay(attempt: int, retry_after_s: float | None, rand: float, expected: float) -> None:
    """Exponential, capped, jittered, and never shorter than asked for (up to a bound)."""
    assert RetryPolicy(rand=lambda: rand).delay_s(attempt, retry_after_s) == expected


async def test_request_keeps_its_id_however_often_it_is_sent() -> None:
    """So that the service's log tells one story; another request has another id."""
    service = Service(httpx.Response(503), httpx.Response(503))
    async with client_of(service, Waits()) as client:
        await client.score(items(1), RewardSpec())
        await client.score(items(1), RewardSpec())
    first, again, third, other = (r.headers["X-Request-ID"] for r in service.requests)
    assert first == again == third != other
