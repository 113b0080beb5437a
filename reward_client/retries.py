"""Decides when to retry a request, and after what delay; the client sends it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.backoff import backoff_s

__all__ = ["RetryPolicy", "parse_retry_after"]


@dataclass(frozen=True)
class RetryPolicy:
    """Bounded exponential delays with jitter.

    Delays are computed by :func:`shared.backoff.backoff_s`; a ``Retry-After`` of the service is
    respected.
    """

    retries: int = 5
    """Maximum number of retries of a request or its failed items; 0 disables them."""
    base_s: float = 0.25
    """The first delay, seconds."""
    cap_s: float = 8.0
    """The longest delay, seconds."""
    retry_after_cap_s: float = 60.0
    """The longest ``Retry-After`` that is respected, seconds."""
    total_s: float = 600.0
    """Seconds after which there are no more retries, regardless of ``retries``. A call ends within
    this plus the time of one request."""
    rand: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""

    def delay_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait before a retry.

        Args:
            attempt: Number of earlier retries.
            retry_after_s: The ``Retry-After`` of the service, if any.

        >>> RetryPolicy(rand=lambda: 1.0).delay_s(2)
        1.0
        """
        jittered = backoff_s(attempt, self.base_s, self.cap_s, self.rand)
        if retry_after_s is None:
            return jittered
        return min(retry_after_s, self.retry_after_cap_s) + jittered

    def deadline(self) -> float:
        """The time after which a call that begins now is not retried, on the policy's clock."""
        return self.clock() + self.total_s

    async def waited(
        self, attempt: int, deadline: float, retry_after_s: float | None = None
    ) -> bool:
        """Waits for :meth:`delay_s` and returns True; returns False at once if no retry is left."""
        delay_s = self.delay_s(attempt, retry_after_s)
        if attempt >= self.retries or self.clock() + delay_s >= deadline:
            return False
        await self.sleep(delay_s)
        return True


def parse_retry_after(value: str | None) -> float | None:
    """Seconds in a ``Retry-After`` header; None if it is missing or a date.

    >>> parse_retry_after("3"), parse_retry_after("Wed, 21 Oct 2026 07:28:00 GMT")
    (3.0, None)
    """
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)
