"""The client against services that answer, fail, stall and refuse."""

import json
from typing import Any

import httpx
import pytest

from reward_client import RewardClient
from shared.decisions import Extend
from shared.errors import ConfigError, InvalidRequest, ServiceRefused
from shared.rewards import NamedMetrics, RewardSpec
from shared.wire.outcomes import OutcomesQuery
from tests.unit.reward_client.fake_service import (
    Service,
    Waits,
    client_of,
    explored,
    items,
    problem,
)


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


async def test_failure_of_the_service_names_the_request() -> None:
    """Whoever operates it finds the line in its log."""
    service = Service(httpx.Response(500), httpx.Response(500))
    async with client_of(service, Waits()) as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.score(items(1), RewardSpec())
    assert service.requests[0].headers["X-Request-ID"] in caught.value.message
