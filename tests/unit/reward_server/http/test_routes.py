"""Keys, states, versions, metrics and the OpenAPI document."""

import json

import httpx
import pytest

from shared.errors import RolloutCrashed
from shared.rewards import Metrics
from shared.wire.scoring import ScoreResponse
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import YES, assert_problem
from tests.unit.reward_server.world import (
    GREEN,
    OTHER_GREEN,
    YELLOW,
    make_state,
    says_no,
)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic abc", "Bearer ké"])
async def test_wrong_key_is_401(open_gateway: OpenGateway, header: str | None) -> None:
    """Whatever is sent instead of the key."""
    gateway = await open_gateway(api_key="right")
    headers = httpx.Headers({"Authorization": header} if header else {}, encoding="utf-8")
    for path in ("/v1/states", "/v1/info", f"/v1/states/{GREEN}"):
        response = await gateway.http.get(path, headers=headers)
        assert_problem(response, 401, "unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_right_key_opens(open_gateway: OpenGateway) -> None:
    """And probes need none."""
    gateway = await open_gateway(api_key="right")
    headers = {"Authorization": "Bearer right"}
    assert (await gateway.http.get("/v1/info", headers=headers)).status_code == 200
    assert (await gateway.http.get("/readyz")).status_code == 200


async def test_states_are_paged_in_order(gateway: Gateway) -> None:
    """The total counts all pages."""
    pages = [
        (await gateway.http.get("/v1/states", params={"limit": 2, "offset": o})).json()
        for o in (0, 2)
    ]
    ids = [state["state_id"] for page in pages for state in page["states"]]
    assert ids == sorted([GREEN, OTHER_GREEN, YELLOW])
    assert {page["total"] for page in pages} == {3}


async def test_states_are_told_in_the_order_of_their_times(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is asked for: 300 s come before 1,020 s, which ids do not say."""
    record = make_state(GREEN).record
    records = [
        record.model_copy(
            update={"state_id": f"{one}@{time_s}", "scenario_id": one, "time_s": time_s}
        )
        for one, time_s in (("a", 1020), ("a", 300), ("b", 60))
    ]
    monkeypatch.setattr("reward_server.http.routes.states._records", lambda *_: list(records))
    told = {}
    for order in ("id", "time"):
        page = (await gateway.http.get("/v1/states", params={"order": order})).json()
        told[order] = [state["state_id"] for state in page["states"]]
    assert told == {"id": ["a@1020", "a@300", "b@60"], "time": ["a@300", "a@1020", "b@60"]}


@pytest.mark.parametrize(
    ("scenario", "total"), [("crossing", 3), ("crossing-111111111111", 3), ("cross", 0)]
)
async def test_states_of_a_scenario(gateway: Gateway, scenario: str, total: int) -> None:
    """By its name or its id."""
    page = (await gateway.http.get("/v1/states", params={"scenario": scenario})).json()
    assert (page["total"], len(page["states"])) == (total, total)


async def test_state_is_shown_with_its_signals(gateway: Gateway) -> None:
    """Definitions and what they were doing."""
    view = (await gateway.http.get(f"/v1/states/{GREEN}")).json()
    assert view["signals"]["C"] == {"program_id": "0", "phase": 0, "elapsed_s": 12}
    assert (view["run"], view["restore"], view["anchor"]) == ("seed1", "state", None)
    assert view["definitions"]["C"]["programs"]["0"]["phases"][0]["state"] == "Gr"


async def test_info_says_versions_and_limits(open_gateway: OpenGateway) -> None:
    """As they are set."""
    gateway = await open_gateway(max_items=5)
    info = (await gateway.http.get("/v1/info")).json()
    assert set(info["versions"]) == {"greenfork", "sumo", "ray"}
    assert (info["limits"]["max_items"], info["states"]) == (5, 3)


async def test_metrics_count_what_happened(gateway: Gateway) -> None:
    """Items by status and code, rollouts, hits, and the runner's own numbers."""

    def crash_no(rollout: Rollout) -> Metrics | None:
        if says_no(rollout):
            raise RolloutCrashed("gone")
        return None

    gateway.runner.fail = crash_no
    await gateway.scored(YES, {"decision": {"kind": "extend", "extend": False}})
    await gateway.scored(YES)
    page = (await gateway.http.get("/metrics")).text.splitlines()
    assert 'greenfork_items_total{code="",status="scored"} 2.0' in page
    assert 'greenfork_items_total{code="rollout_crashed",status="failed"} 1.0' in page
    assert "greenfork_rollouts_total 3.0" in page
    assert "greenfork_hot_hits_total 1.0" in page
    assert "greenfork_rollout_seconds_count 2.0" in page
    assert "crossing" not in page, "anybody may read it"
    assert "greenfork_pool_oldest_seconds 1.5" in page
    assert "greenfork_pool_queued 3.0" in page
    assert "greenfork_workers_lost_total 5.0" in page
    assert any('route="/v1/score"' in line for line in page)


async def test_unknown_paths_make_no_metrics_of_their_own(gateway: Gateway) -> None:
    """A scan of the port does not fill the memory."""
    await gateway.http.get("/a")
    await gateway.http.get("/b")
    page = (await gateway.http.get("/metrics")).text
    assert 'greenfork_request_seconds_count{route="unknown",status="404"} 2.0' in page


async def test_openapi_documents_every_problem(gateway: Gateway) -> None:
    """Each route has a summary and an example, and its refusals are problem documents."""
    schema = (await gateway.http.get("/openapi.json")).json()
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    operations = [(p, op) for p, path in schema["paths"].items() for op in path.values()]
    for path, operation in operations:
        assert operation["summary"], path
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                continue
            assert list(answer["content"]) == ["application/problem+json"], (path, status)
    documented = schema["paths"]["/v1/score"]["post"]["responses"]
    assert " ".join(sorted(documented)) == "200 400 401 403 404 408 413 422 503 504"
    references = json.dumps(schema).count('"#/components/schemas/Problem"')
    assert references >= 10
    assert "Problem" in schema["components"]["schemas"]


async def test_openapi_examples_are_valid(gateway: Gateway) -> None:
    """What the page shows can be sent, and is what comes back."""
    schema = (await gateway.http.get("/openapi.json")).json()
    operation = schema["paths"]["/v1/score"]["post"]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        response = await gateway.http.post("/v1/score", json=example["value"])
        assert_problem(response, 404, "unknown_state")
    shown = operation["responses"]["200"]["content"]["application/json"]["example"]
    ScoreResponse.model_validate(shown)
