"""What surrounds scoring: refusals, ids, keys, limits, and the pages for operators."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from reward_server.auth.callers import ANYONE
from shared.errors import HolderLost, LedgerError, RolloutCrashed
from shared.rewards import Metrics
from shared.wire.scoring import ScoreResponse
from sim_workers.engine.messages import Rollout
from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import (
    GREEN,
    OTHER_GREEN,
    YELLOW,
    make_metrics,
    says_no,
)

YES = {"decision": {"kind": "extend", "extend": True}}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks that an answer is a problem document, and gives it."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["title"]
    assert body["detail"]
    return body


async def test_unknown_state_is_404_and_named(gateway: Gateway) -> None:
    """One unknown state refuses the request, before anything is rolled out."""
    response = await gateway.score(YES, {"state_id": "nowhere@1-ffffffffffff", **YES})
    assert "nowhere@1-ffffffffffff" in assert_problem(response, 404, "unknown_state")["detail"]
    assert not gateway.runner.runs


async def test_unknown_signal_is_404_and_named(gateway: Gateway) -> None:
    """The problem names the signal and those that there are."""
    response = await gateway.score({"tls_id": "Z9", **YES})
    detail = assert_problem(response, 404, "unknown_signal")["detail"]
    assert "Z9" in detail
    assert "C" in detail


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"decision": {"kind": "hold"}}, "unknown_decision_kind", "items[1].decision.kind"),
        (
            {"decision": None, "decision_kind": "hold", "completion": "x"},
            "unknown_decision_kind",
            "items[1].decision_kind",
        ),
        ({"decision": None}, "invalid_request", "items[1]"),
        ({"completion": "x"}, "invalid_request", "items[1]"),
        ({"decision": {"extend": "yes"}}, "invalid_request", "items[1].decision.extend"),
        ({"colour": "red"}, "invalid_request", "items[1].colour"),
        ({"state_id": 5}, "invalid_request", "items[1].state_id"),
    ],
)
async def test_wrong_item_is_422_and_placed(
    gateway: Gateway, change: dict[str, Any], code: str, place: str
) -> None:
    """The problem says which item and which field."""
    response = await gateway.score(YES, YES | change)
    assert assert_problem(response, 422, code)["detail"].startswith(place)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"reward": {"name": "luck"}}, "unknown_reward"),
        ({"reward": {"horizon_s": 0}}, "invalid_request"),
        ({"reward": {"invalid_reward": "NaN"}}, "invalid_request"),
        ({"timeout_s": -1}, "invalid_request"),
        ({"items": []}, "invalid_request"),
    ],
)
async def test_wrong_terms_are_422(gateway: Gateway, terms: dict[str, Any], code: str) -> None:
    """The request is wrong as a whole."""
    assert_problem(await gateway.score(YES, **terms), 422, code)


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[]", b"null"])
async def test_body_that_is_no_request_is_refused(gateway: Gateway, body: bytes) -> None:
    """No body makes the service fail."""
    headers = {"Content-Type": "application/json"}
    response = await gateway.http.post("/v1/score", content=body, headers=headers)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["code"]) in [
        (400, "malformed_json"),
        (422, "invalid_request"),
    ]


async def test_body_that_is_not_json_is_400(gateway: Gateway) -> None:
    """A cut-off body is malformed."""
    headers = {"Content-Type": "application/json"}
    response = await gateway.http.post("/v1/score", content=b'{"items": [', headers=headers)
    assert_problem(response, 400, "malformed_json")


async def test_body_of_another_type_is_422(gateway: Gateway) -> None:
    """What curl sends when it is not told otherwise is answered with what to tell it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await gateway.http.post("/v1/score", content=b"{}", headers=headers)
    assert_problem(response, 422, "unsupported_content_type")


async def test_nan_in_a_body_is_refused(gateway: Gateway) -> None:
    """Python's json would send it; it is no JSON number."""
    item = {"state_id": GREEN, "tls_id": "C", **YES}
    body = json.dumps({"items": [item], "timeout_s": float("nan")})
    headers = {"Content-Type": "application/json"}
    response = await gateway.http.post("/v1/score", content=body, headers=headers)
    assert_problem(response, 422, "invalid_request")


async def test_large_body_is_413(open_gateway: OpenGateway) -> None:
    """By its declared length."""
    gateway = await open_gateway(max_body_bytes=1024)
    response = await gateway.score({"id": "x" * 2000, **YES})
    assert "1024" in assert_problem(response, 413, "body_too_large")["detail"]


async def test_large_body_without_a_length_is_413(open_gateway: OpenGateway) -> None:
    """A stream is counted as it comes, and not read to its end."""
    gateway = await open_gateway(max_body_bytes=1024)
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 512

    headers = {"Content-Type": "application/json"}
    response = await gateway.http.post("/v1/score", content=chunks(), headers=headers)
    assert_problem(response, 413, "body_too_large")
    assert sent < 10


async def test_too_many_items_are_422(open_gateway: OpenGateway) -> None:
    """The problem says how many one request may hold."""
    gateway = await open_gateway(max_items=2)
    assert (
        "2" in assert_problem(await gateway.score(YES, YES, YES), 422, "too_many_items")["detail"]
    )


async def test_full_service_is_503_with_a_time(open_gateway: OpenGateway) -> None:
    """What does not fit beside the work under way is refused at once."""
    gateway = await open_gateway(max_items=2, max_pending_items=2)
    with gateway.services.admission.admitted(ANYONE, 1):
        response = await gateway.score(YES, YES)
    assert_problem(response, 503, "overloaded")
    assert int(response.headers["Retry-After"]) >= 1
    assert (await gateway.score(YES, YES)).status_code == 200


async def test_ledger_that_fails_to_read_fails_items(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be looked up is null and retryable; nothing is rolled out off the record."""

    async def broken(keys: object) -> dict[str, Metrics]:
        raise LedgerError("disk gone")

    monkeypatch.setattr(gateway.ledger, "get_many", broken)
    (result,) = (await gateway.scored(YES))["results"]
    assert (result["reward"], result["error"]["code"]) == (None, "ledger_unavailable")
    assert not gateway.runner.runs


async def test_ledger_that_fails_to_write_fails_items(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told a number that is not on record."""

    async def broken(*_: object) -> None:
        raise LedgerError("disk full")

    monkeypatch.setattr(gateway.ledger, "record", broken)
    (result,) = (await gateway.scored(YES))["results"]
    assert (result["status"], result["reward"]) == ("failed", None)


async def test_unexpected_error_is_a_problem_without_internals(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets an id to ask about, the log the error."""

    async def broken(*_: object) -> None:
        raise KeyError("secret place")

    monkeypatch.setattr(gateway.services.scorer, "score", broken)
    with capture_logs() as logs:
        response = await gateway.score(YES)
    assert_problem(response, 500, "internal")
    assert "secret" not in response.text
    assert response.headers["X-Request-ID"]
    assert {log["event"] for log in logs} == {"unexpected", "request"}


async def test_bug_in_the_runner_fails_items_and_does_not_hang(gateway: Gateway) -> None:
    """Even an error that nobody planned for ends the call."""

    def bug(rollout: Rollout) -> Metrics | None:
        raise ZeroDivisionError

    gateway.runner.fail = bug
    with capture_logs() as logs:
        (result,) = (await gateway.scored(YES))["results"]
    assert (result["status"], result["reward"]) == ("failed", None)
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["unexpected"] * 2


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/score", 404, "not_found"),
        ("GET", "/v1/score", 405, "method_not_allowed"),
        ("DELETE", "/v1/states", 405, "method_not_allowed"),
        ("GET", "/v1/states/nowhere@1-ffffffffffff", 404, "unknown_state"),
        ("GET", "/v1/states?limit=0", 422, "invalid_request"),
    ],
)
async def test_every_refusal_is_a_problem(
    gateway: Gateway, method: str, path: str, status: int, code: str
) -> None:
    """Routes and methods that are not there too."""
    assert_problem(await gateway.http.request(method, path), status, code)


async def test_request_id_is_kept_if_sane(gateway: Gateway) -> None:
    """It comes back, and is in the one line that the log gets."""
    with capture_logs() as logs:
        response = await gateway.http.get("/v1/info", headers={"X-Request-ID": "run-7.3"})
    assert response.headers["X-Request-ID"] == "run-7.3"
    assert [log["event"] for log in logs] == ["request"]


@pytest.mark.parametrize("given", ["", "two words", "x" * 200, "a\tb"])
async def test_request_id_is_made_up_otherwise(gateway: Gateway, given: str) -> None:
    """Nobody writes lines of their own into the log."""
    response = await gateway.http.get("/healthz", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] not in ("", given)


async def test_canonical_line_says_what_was_done(gateway: Gateway) -> None:
    """Counts, times and outcome stand in one line."""
    with capture_logs() as logs:
        await gateway.scored(YES)
    (line,) = logs
    assert {k: line[k] for k in ("status", "items", "scored", "failed", "rollouts")} == {
        "status": 200,
        "items": 1,
        "scored": 1,
        "failed": 0,
        "rollouts": 2,
    }
    assert line["duration_s"] >= line["scoring_s"] >= 0
    assert (line["queued_s"], line["simulated_s"]) == (0.25, 1.0), "as the runner says"
    assert line["caller"] == "anyone"


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


async def test_alive_is_not_ready(open_gateway: OpenGateway) -> None:
    """Without states the process answers, and cannot score."""
    gateway = await open_gateway(StateStore([]))
    assert (await gateway.http.get("/healthz")).json() == {"status": "ok"}
    response = await gateway.http.get("/readyz")
    assert_problem(response, 503, "not_ready")
    assert int(response.headers["Retry-After"]) >= 1


async def test_ready_rolls_out_once_for_many_probes(gateway: Gateway) -> None:
    """The verdict stands for a while; the first one includes a rollout along the run."""
    for _ in range(5):
        assert (await gateway.http.get("/readyz")).status_code == 200
    assert sorted(rollout.horizon_s for rollout in gateway.runner.runs) == [10, 61]
    assert set(gateway.runner.runs.values()) == {1}


async def test_the_canary_waits_for_nobody(gateway: Gateway) -> None:
    """Its rollouts go before all that waits: a busy service is no broken one."""
    assert (await gateway.http.get("/readyz")).status_code == 200
    canary = [flow for flow, _ in gateway.runner.flows if flow.name == "canary"]
    assert canary
    assert all(flow.is_urgent for flow in canary)


async def test_not_ready_where_the_canary_fails(gateway: Gateway) -> None:
    """The problem says why."""

    def lose(rollout: Rollout) -> Metrics | None:
        raise HolderLost("died twice")

    gateway.runner.fail = lose
    assert_problem(await gateway.http.get("/readyz"), 503, "holder_lost")


async def test_not_ready_where_the_canary_differs(open_gateway: OpenGateway) -> None:
    """A service that gives another number than before must not be used."""
    assert (await (await open_gateway()).http.get("/readyz")).status_code == 200
    other = await open_gateway()
    other.runner.fail = lambda rollout: make_metrics(5.0000001)
    assert_problem(await other.http.get("/readyz"), 503, "canary_differs")


async def test_ready_where_the_canary_was_recorded_without_delay(
    open_gateway: OpenGateway,
) -> None:
    """A ledger older than the metric says nothing of it; what it says must still be so."""
    old = await open_gateway()
    old.runner.fail = lambda rollout: make_metrics(5.0, delay_veh=None)
    assert (await old.http.get("/readyz")).status_code == 200
    assert (await (await open_gateway()).http.get("/readyz")).status_code == 200
    other = await open_gateway()
    other.runner.fail = lambda rollout: make_metrics(6.0)
    assert_problem(await other.http.get("/readyz"), 503, "canary_differs")


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
