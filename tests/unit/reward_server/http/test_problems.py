"""What surrounds scoring: refusals, ids, keys, limits, and the pages for operators."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from reward_server.auth.callers import ANYONE
from shared.errors import LedgerError
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import YES, assert_problem
from tests.unit.reward_server.world import (
    GREEN,
)


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
