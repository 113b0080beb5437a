"""When a piece of a job is tried again. Decides only; the runner does the waiting."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from reward_server.scoring.response_cache import Answer
from shared.errors import ErrorInfo, LedgerError, NotReady

__all__ = ["JobRetries"]

_OUTAGES = (LedgerError.code, NotReady.code)


@dataclass(frozen=True)
class JobRetries:
    """Growing delays, spread out; a bounded number for items, none for outages of the service."""

    limit: int = 5
    """Times that an item is tried again; then its failure stands."""
    base_s: float = 0.5
    """The first delay, seconds."""
    cap_s: float = 30.0
    """The longest delay, seconds."""
    rand: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def delay_s(self, again: int) -> float:
        """Seconds before trying again.

        Args:
            again: How often it was tried again before: 0 the first time.

        >>> JobRetries(rand=lambda: 1.0).delay_s(3)
        4.0
        """
        return min(self.cap_s, self.base_s * 2.0 ** min(again, 32)) * (0.5 + 0.5 * self.rand())

    def stands(self, answer: Answer, attempts: int) -> bool:
        """Whether an answer is final.

        Args:
            answer: What became of an item.
            attempts: How often it has been tried again.
        """
        if answer.status != "failed" or not _is_retryable(answer.result(None).error):
            return True
        return not self.is_outage(answer.code) and attempts >= self.limit

    @staticmethod
    def is_outage(code: str) -> bool:
        """Whether the service, not the item, is the reason: that is waited for without end."""
        return code in _OUTAGES


def _is_retryable(error: ErrorInfo | None) -> bool:
    return error is not None and error.retryable
