"""``GET /v1/service``: the figures of the metrics page, and each caller's share."""

import json
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from reward_server.auth.callers import ANYONE
from reward_server.page.service import follow
from sim_workers.pool.fair_queue import FlowLoad, PoolStats
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import GREEN

LOADS = (FlowLoad("ann", 1.0, 3, 1, 10), FlowLoad("bob", 2.0, 4, 0, 5), FlowLoad("eve", 1, 1, 1, 1))


async def _key(gateway: Gateway, name: str, *scopes: str) -> dict[str, str]:
    made = await gateway.services.authenticator._records.create(name, scopes, 1.0)  # type: ignore[attr-defined]
    return {"Authorization": f"Bearer {made.secret}"}


async def _seen(gateway: Gateway, headers: dict[str, str]) -> list[dict[str, Any]]:
    response = await gateway.http.get("/v1/service", headers=headers)
    assert response.status_code == 200
    flows: list[dict[str, Any]] = response.json()["flows"]
    return flows


def _loaded(gateway: Gateway) -> None:
    stats = gateway.runner.stats()
    fields = {name: getattr(stats, name) for name in PoolStats.__dataclass_fields__}
    gateway.runner.stats = lambda: PoolStats(**fields | {"flows": LOADS})  # type: ignore[method-assign]


async def test_figures_are_those_of_the_metrics_page(gateway: Gateway) -> None:
    """Every sample but the buckets, with the same labels and value."""
    await gateway.scored({"decision": {"kind": "extend", "extend": True}})
    told = (await gateway.http.get("/v1/service")).json()["figures"]
    page = (await gateway.http.get("/metrics")).text
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if "request_seconds" not in sample.name  # which count the two requests themselves
    }
    assert len(told) > 20
    for figure in told:
        key = (figure["name"], tuple(sorted(figure["labels"].items())))
        if "request_seconds" not in figure["name"] and "disk" not in figure["name"]:
            assert samples[key] == figure["value"]


async def test_others_are_not_named(open_gateway: OpenGateway) -> None:
    """Who looks knows its own share, and what all others have together."""
    gateway = await open_gateway()
    headers = await _key(gateway, "ann", "read")
    _loaded(gateway)
    own, others = await _seen(gateway, headers)
    assert (own["name"], own["queued"], own["done"]) == ("ann", 3, 10)
    assert (others["name"], others["queued"], others["done"]) == ("others", 5, 6)


async def test_admins_see_all_by_name(open_gateway: OpenGateway) -> None:
    """The scope `admin` knows the callers anyway."""
    gateway = await open_gateway()
    headers = await _key(gateway, "boss", "admin")
    _loaded(gateway)
    assert [flow["name"] for flow in await _seen(gateway, headers)] == ["ann", "bob", "eve"]


async def test_read_suffices_to_look(open_gateway: OpenGateway) -> None:
    """States, outcomes, the service; but it scores nothing and uploads nothing."""
    gateway = await open_gateway()
    headers = await _key(gateway, "eye", "read")

    async def status(method: str, path: str, **more: Any) -> int:  # noqa: ANN401
        response: httpx.Response = await gateway.http.request(method, path, headers=headers, **more)
        return response.status_code

    for path in ("/v1/states", f"/v1/states/{GREEN}", f"/v1/states/{GREEN}/outcomes", "/v1/info"):
        assert await status("GET", path) == 200, path
    item = {"state_id": GREEN, "tls_id": "C", "decision": {"kind": "extend", "extend": True}}
    assert await status("POST", "/v1/score", json={"items": [item]}) == 403
    assert await status("PUT", "/v1/scenarios", content=b"PK") == 403
    assert await status("GET", "/v1/jobs") == 403


async def test_events_end_with_the_gateway(gateway: Gateway) -> None:
    """Each is what `GET /v1/service` says; nobody who looks keeps the gateway from ending."""
    events = follow(gateway.services, ANYONE)
    first = await anext(events)
    assert (first.event, json.loads(first.data or "")["viewer"]["name"]) == ("service", "anyone")
    gateway.services.jobs.hang_up()
    assert [event async for event in events] == []
