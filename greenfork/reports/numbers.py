"""Numbers of results as a report shows them: what is not known is a dash, and never a number."""

import math

__all__ = ["estimate", "is_number", "rounded"]


def is_number(value: object) -> bool:
    """Whether something is a finite number."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(float(value))  # type: ignore[arg-type]


def rounded(value: object) -> str:
    """A number with two decimals, if it has any.

    >>> rounded(31.256), rounded(3), rounded(None)
    ('31.26', '3', '–')
    """
    return f"{value:.2f}".removesuffix(".00") if is_number(value) else "–"


def estimate(found: object) -> str:
    """A value with its interval.

    >>> estimate({"value": 0.5, "low": 0.25, "high": 0.75}), estimate(None)
    ('0.500 [0.250, 0.750]', '–')
    """
    if not isinstance(found, dict) or not is_number(found.get("value")):
        return "–"
    value, low, high = (found.get(name) for name in ("value", "low", "high"))
    if not is_number(low) or not is_number(high):
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
