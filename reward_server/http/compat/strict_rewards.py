"""All rewards or none: other protocols have no null, and nobody is given a made-up number."""

from collections import Counter
from collections.abc import Sequence

from shared.errors import InvalidRequest, RewardsMissing
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreResult

__all__ = ["rewards_of"]


def rewards_of(results: Sequence[ScoreResult]) -> list[float]:
    """The reward of every result; an invalid decision's reward counts as one.

    Raises:
        InvalidRequest: An item failed for a reason that a retry cannot change; it has that
            reason's code.
        RewardsMissing: An item failed; the others are remembered for the retry.
    """
    failures = [_failure(result) for result in results if result.reward is None]
    if failures:
        lost = next((one for one in failures if not one.retryable), None)
        said = f"{len(failures)} of {len(results)} rewards could not be computed: {_told(failures)}"
        raise InvalidRequest(said, lost.code) if lost else RewardsMissing(said)
    return [result.reward for result in results if result.reward is not None]


def _failure(result: ScoreResult) -> ErrorInfo:
    assert result.error is not None, "each failure states its reason"  # noqa: S101
    return result.error


def _told(failures: Sequence[ErrorInfo]) -> str:
    codes = Counter(failure.code for failure in failures)
    counted = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items()))
    return f"{counted}; the first: {failures[0].message}"
