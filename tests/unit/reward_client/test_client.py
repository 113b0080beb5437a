"""The client against services that answer, fail, stall and refuse."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from reward_client import ClientOptions, RetryPolicy, RewardClient
from reward_client.batches import chunked
from shared.decisions import Extend
from shared.errors import ConfigError, InvalidRequest, ServiceRefused, ServiceUnreachable
from shared.rewards import NamedMetrics, RewardSpec
from shared.wire.outcomes import OutcomesQuery
from shared.wire.scoring import ScoreItem

Answer = httpx.Response | Exception
Handler = Callable[[httpx.Request], httpx.Response]


def items(count: int) -> list[ScoreItem]:
    """Items whose ids are 0, 1, 2, …"""
    return [
        ScoreItem(id=i, state_id="s@1-aaaaaaaaaaaa", tls_id="C", decision=Extend(extend=True))
        for i in range(count)
    ]


def scored(
    request: httpx.Request, failing: Sequence[int] = (), retryable: bool = True
) -> httpx.Response:
    """A response that scores every item with its id, but for those that fail."""
    results = []
    for item in json.loads(request.content)["items"]:
        if item["id"] in failing:
            error = {"code": "worker_lost", "message": "gone", "retryable": retryable}
            results.append({"id": item["id"], "status": "failed", "reward": None, "error": error})
        else:
            results.append({"id": item["id"], "status": "scored", "reward": float(item["id"])})
    failed = sum(r["status"] == "failed" for r in results)
    counts = {"scored": len(results) - failed, "invalid": 0, "failed": failed, "cached": 0}
    body = {
        "results": results,
        "counts": counts | {"rollouts": len(results)},
        "simulator": {"name": "sumo", "version": "1.28.0"},
    }
    return httpx.Response(200, json=body)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """A problem document."""
    body = {"title": "T", "status": status, "detail": "D", "code": code, "retryable": False}
    return httpx.Response(status, json=body, headers=headers)


class Service:
    """Answers with a script, then scores everything; remembers what was asked."""

    def __init__(self, *script: Answer | Handler) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Takes the next step of the script."""
        self.requests.append(request)
        step = self.script.pop(0) if self.script else scored
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return step
        answer: httpx.Response = step(request)
        return answer

    def sent_ids(self) -> list[list[int]]:
        """The ids of each request's items."""
        return [[i["id"] for i in json.loads(r.content)["items"]] for r in self.requests]


class Waits:
    """Stands in for sleep, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Returns at once."""
        self.seconds.append(seconds)


def client_of(
    service: Service, waits: Waits, retries: int = 3, api_key: str | None = None, size: int = 512
) -> RewardClient:
    """A client of a scripted service that never really waits."""
    return RewardClient(
        "http://service",
        SecretStr(api_key) if api_key else None,
        ClientOptions(max_items_per_request=size, max_concurrency=2),
        RetryPolicy(retries=retries, rand=lambda: 1.0, sleep=waits),
        httpx.MockTransport(service),
    )


async def test_large_batches_are_cut_and_put_together_in_order() -> None:
    """Counts sum up, and nobody sees that there were several requests."""
    service = Service()
    async with client_of(service, Waits(), size=3) as client:
        response = await client.score(items(8), RewardSpec())
    assert [r.id for r in response.results] == list(range(8))
    assert sorted(len(ids) for ids in service.sent_ids()) == [2, 3, 3]
    assert (response.counts.scored, response.counts.rollouts) == (8, 8)


async def test_seeds_make_requests_smaller() -> None:
    """The service counts an item once per seed, and so does the client; one item is the least."""
    for seeds, sizes in (((1, 2), [2, 3, 3]), (tuple(range(9)), [1] * 8)):
        service = Service()
        async with client_of(service, Waits(), size=6) as client:
            response = await client.score(items(8), RewardSpec(seeds=seeds))
        assert sorted(len(ids) for ids in service.sent_ids()) == sizes
        assert [r.id for r in response.results] == list(range(8))


@pytest.mark.parametrize(
    ("groups", "size", "pieces"),
    [
        ("aaabbbcc", 4, ["aaa", "bbb", "cc"]),
        ("aaabbbcc", 6, ["aaabbb", "cc"]),
        ("aaaaabb", 2, ["aa", "aa", "a", "bb"]),
        ("aab--bb", 3, ["aab", "--", "bb"]),
        ("-----", 2, ["--", "--", "-"]),
        ("", 3, []),
    ],
)
def test_groups_stay_together_where_they_fit(groups: str, size: int, pieces: list[str]) -> None:
    """A service that compares the rewards of a group sees all of them in one request."""
    batch = [
        item.model_copy(update={"group_id": None if group == "-" else group})
        for item, group in zip(items(len(groups)), groups, strict=True)
    ]
    chunks = chunked(batch, size)
    assert [item for chunk in chunks for item in chunk] == batch
    assert ["".join(str(item.group_id or "-") for item in chunk) for chunk in chunks] == pieces


@given(groups=st.lists(st.integers(1, 6), max_size=12), size=st.integers(1, 9))
def test_no_group_is_cut_that_fits(groups: list[int], size: int) -> None:
    """Requests are never too large, nothing is lost, and only groups larger than one are cut."""
    (one,) = items(1)
    batch = [
        one.model_copy(update={"group_id": group})
        for group, count in enumerate(groups)
        for _ in range(count)
    ]
    chunks = chunked(batch, size)
    assert [item for chunk in chunks for item in chunk] == batch
    assert all(0 < len(chunk) <= size for chunk in chunks)
    for before, after in pairwise(chunks):
        if before[-1].group_id == after[0].group_id:
            assert groups[int(str(after[0].group_id))] > size


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
    "answer", [httpx.Response(200, text="hello"), httpx.Response(200, json={})]
)
async def test_other_service_is_recognised(answer: httpx.Response) -> None:
    """A URL where something else listens is refused with a hint."""
    async with client_of(Service(answer), Waits()) as client:
        with pytest.raises(ServiceRefused, match="is this a Greenfork") as caught:
            await client.score(items(1), RewardSpec())
    assert caught.value.code == "bad_answer"


async def test_answer_of_another_length_is_refused() -> None:
    """Rewards are never given to the wrong items."""
    empty = {
        "results": [],
        "counts": {"scored": 0, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 0},
        "simulator": {"version": "1"},
    }
    async with client_of(Service(httpx.Response(200, json=empty)), Waits()) as client:
        with pytest.raises(ServiceRefused, match="0 results for 1 items"):
            await client.score(items(1), RewardSpec())


async def test_key_and_terms_are_sent() -> None:
    """As the contract spells them."""
    service = Service()
    async with client_of(service, Waits(), api_key="k") as client:
        await client.score(items(1), RewardSpec(name="queue"), timeout_s=7, series=True)
    (request,) = service.requests
    body = json.loads(request.content)
    assert request.headers["Authorization"] == "Bearer k"
    assert (body["reward"]["name"], body["timeout_s"], body["series"]) == ("queue", 7, True)
    assert body["items"][0]["decision"]["kind"] == "extend"
    assert request.extensions["timeout"]["read"] > 7


async def test_named_metrics_are_asked_for_and_read() -> None:
    """They alone are there; not one of them has a made-up value."""
    result = {"id": 0, "status": "scored", "reward": 1.0, "metrics": {"speed_mps": None}}
    answer = {
        "results": [result],
        "counts": {"scored": 1, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 1},
        "simulator": {"version": "1"},
    }
    service = Service(httpx.Response(200, json=answer))
    async with client_of(service, Waits()) as client:
        response = await client.score(items(1), RewardSpec(), metrics=["speed_mps"])
    assert json.loads(service.requests[0].content)["metrics"] == ["speed_mps"]
    metrics = response.results[0].metrics
    assert isinstance(metrics, NamedMetrics)
    assert metrics.model_dump_json() == '{"speed_mps":null}'


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", ""])
async def test_url_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent."""
    async with RewardClient(url, transport=httpx.MockTransport(Service())) as client:
        with pytest.raises(ConfigError):
            await client.info()


async def test_no_items_are_refused() -> None:
    """There is nothing to ask."""
    async with client_of(Service(), Waits()) as client:
        with pytest.raises(InvalidRequest):
            await client.score([], RewardSpec())


async def test_states_come_from_all_pages() -> None:
    """Pages are asked for until all are there."""

    def record(number: int) -> dict[str, Any]:
        return {
            "state_id": f"s@{number}-aaaaaaaaaaaa",
            "scenario_id": "s-1",
            "time_s": number,
            "seed": 1,
            "run": "seed1",
            "restore": "state",
            "verified_s": 60,
            "simulator": {"version": "1"},
            "signals": {},
        }

    def page(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        body = {"states": [record(offset)], "total": 3, "limit": 1, "offset": offset}
        return httpx.Response(200, json=body)

    service = Service(page, page, page)
    async with client_of(service, Waits()) as client:
        found = await client.states("s")
    assert [state.time_s for state in found] == [0, 1, 2]
    assert service.requests[0].url.params["scenario"] == "s"


def explored(request: httpx.Request) -> httpx.Response:
    """One outcome, of the signal and kind that were asked for."""
    yes = {"kind": "extend", "extend": True, "extend_s": 5}
    body = {
        "state_id": request.url.path.split("/")[3],
        "tls_id": request.url.params.get("tls_id", "only"),
        "kind": request.url.params["kind"],
        "reward": {"name": request.url.params["reward"]},
        "best": yes,
        "outcomes": [{"decision": yes, "status": "scored", "reward": 1, "regret": 0, "rank": 1}],
        "reference": {"reward": 0},
        "restore": "state",
        "counts": {"scored": 1, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 2},
        "simulator": {"version": "1"},
    }
    return httpx.Response(200, json=body)


async def test_outcomes_are_asked_for() -> None:
    """What is not said is left to the service's defaults; trouble that passes is overcome."""
    service = Service(problem(503, "overloaded"), explored)
    async with client_of(service, Waits()) as client:
        answer = await client.outcomes("s@1-aaaaaaaaaaaa")
    assert (answer.state_id, answer.tls_id, answer.best) == (
        "s@1-aaaaaaaaaaaa",
        "only",
        Extend(extend=True),
    )
    assert "tls_id" not in service.requests[-1].url.params


async def test_terms_of_outcomes_are_sent() -> None:
    """As parameters; and the service has the time that it was given to answer."""
    query = OutcomesQuery(
        tls_id="a b/c",
        kind="plan",
        reward="wait",
        horizon_s=30,
        timeout_s=77,
        metrics=("wait_s", "speed_mps"),
    )
    service = Service(explored)
    async with client_of(service, Waits()) as client:
        answer = await client.outcomes("s@1-aaaaaaaaaaaa", query)
    (request,) = service.requests
    assert (answer.tls_id, answer.kind, answer.reward.name) == ("a b/c", "plan", "wait")
    assert request.url.params["horizon_s"] == "30"
    assert request.url.params.get_list("metrics") == ["wait_s", "speed_mps"]
    assert request.extensions["timeout"]["read"] > 77


async def test_refused_outcomes_carry_their_code() -> None:
    """So that a caller can name the signal."""
    async with client_of(Service(problem(422, "tls_id_needed")), Waits()) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.outcomes("s@1-aaaaaaaaaaaa")
    assert caught.value.code == "tls_id_needed"


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


async def test_failure_of_the_service_names_the_request() -> None:
    """Whoever operates it finds the line in its log."""
    service = Service(httpx.Response(500), httpx.Response(500))
    async with client_of(service, Waits()) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.score(items(1), RewardSpec())
    assert service.requests[0].headers["X-Request-ID"] in caught.value.message
