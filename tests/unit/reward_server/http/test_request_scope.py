"""The id of a request, and its line in the log."""

import pytest
from structlog.testing import capture_logs

from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.problem_checks import YES


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
