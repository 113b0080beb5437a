"""When a chunk is tried again."""

import pytest

from reward_server.jobs.scheduler import JobRetries
from reward_server.scoring.response_cache import Answer
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreResult


def failed(code: str, *, retryable: bool) -> Answer:
    """A failure."""
    error = ErrorInfo(code=code, message="m", retryable=retryable)
    return Answer.of(ScoreResult(id=None, status="failed", reward=None, error=error))


def test_delays_grow_to_a_limit_and_are_spread() -> None:
    """However long it goes on."""
    longest, shortest = JobRetries(rand=lambda: 1.0), JobRetries(rand=lambda: 0.0)
    assert [longest.delay_s(n) for n in (0, 1, 2, 5, 6, 10**6)] == [0.5, 1, 2, 16, 30, 30]
    assert [shortest.delay_s(n) for n in (0, 10)] == [0.25, 15]


@pytest.mark.parametrize(
    ("answer", "attempts", "stands"),
    [
        (Answer.of(ScoreResult(id=None, status="scored", reward=1.0)), 0, True),
        (failed("rollout_rejected", retryable=False), 0, True),
        (failed("worker_lost", retryable=True), 4, False),
        (failed("worker_lost", retryable=True), 5, True),
        (failed("ledger_unavailable", retryable=True), 10**6, False),
    ],
)
def test_what_stands(answer: Answer, attempts: int, stands: bool) -> None:
    """What no retry can help, and what was tried often enough; an outage never does."""
    assert JobRetries().stands(answer, attempts) is stands
