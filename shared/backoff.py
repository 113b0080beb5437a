"""How long to wait before trying again: exponential, bounded, spread out."""

from collections.abc import Callable

__all__ = ["backoff_s"]

_MAX_DOUBLINGS = 64
"""Far beyond any cap; two to the power of a thousand and some is no float any more."""


def backoff_s(attempt: int, base_s: float, cap_s: float, rand: Callable[[], float]) -> float:
    """Seconds: ``min(cap_s, base_s * 2**attempt)`` times a random factor in [0.5, 1].

    Jitter spreads callers that failed together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        attempt: How often it was tried again before: 0 the first time.
        base_s: The first delay, seconds.
        cap_s: The longest delay, seconds.
        rand: Uniform in [0, 1).

    >>> backoff_s(3, 0.5, 30.0, lambda: 1.0)
    4.0
    """
    delay_s = min(cap_s, base_s * 2.0 ** min(attempt, _MAX_DOUBLINGS))
    return delay_s * (0.5 + 0.5 * rand())
