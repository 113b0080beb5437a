"""When and after how long a request is sent again. Decides only; the client does the sending."""

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

    Delays are those of :func:`shared.backoff.backoff_s`. A service that names a time is not asked
    before it has passed.
    """

    retries: int = 5
    """Times a request, or its failed items, are sent again; 0 never."""
    base_s: float = 0.25
    """The first delay, seconds."""
    cap_s: float = 8.0
    """The longest delay, seconds."""
    retry_after_cap_s: float = 60.0
    """The longest ``Retry-After`` that is believed, seconds."""
    total_s: float = 600.0
    """Seconds after which nothing is sent again, however many times are left. What is asked for is
    answered or given up within this and the time of one request."""
    rand: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    """Seconds, never going back."""

    def delay_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait before sending again.

        Args:
            attempt: How often it was sent again before: 0 the first time.
            retry_after_s: What the service asked for, if it did.

        >>> RetryPolicy(rand=lambda: 1.0).delay_s(2)
        1.0
        """
        jittered = backoff_s(attempt, self.base_s, self.cap_s, self.rand)
        if retry_after_s is None:
            return jittered
        return min(retry_after_s, self.retry_after_cap_s) + jittered

    def deadline(self) -> float:
        """When what begins now is not sent again any more, on the policy's clock."""
        return self.clock() + self.total_s

    async def waited(
        self, attempt: int, deadline: float, retry_after_s: float | None = None
    ) -> bool:
        """Waits for :meth:`delay_s`, and tells whether to send again; if not, does not wait."""
        delay_s = self.delay_s(attempt, retry_after_s)
        if attempt >= self.retries or self.clock() + delay_s >= deadline:
            return False
        await self.sleep(delay_s)
        return True


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header; None where there is none, or it is a date.

    >>> parse_retry_after("3"), parse_retry_after("Wed, 21 Oct 2026 07:28:00 GMT")
    (3.0, None)
    """
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)
