"""Errors of a whole request, as RFC 9457 problem documents."""

from typing import Self

from pydantic import ConfigDict

from shared.errors import GreenforkError
from shared.model import WireModel

__all__ = ["PROBLEM_MEDIA_TYPE", "Problem"]

PROBLEM_MEDIA_TYPE = "application/problem+json"


class Problem(WireModel):
    """The body of every 4xx and 5xx answer. https://www.rfc-editor.org/rfc/rfc9457"""

    model_config = ConfigDict(extra="ignore")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    retryable: bool

    @classmethod
    def of(cls, error: GreenforkError) -> Self:
        """Describes ``error``; the title is its class's name in words."""
        words = "".join(f" {c}" if c.isupper() else c for c in type(error).__name__).strip()
        return cls(
            title=words.capitalize(),
            status=error.http_status,
            detail=error.message,
            code=error.code,
            retryable=error.retryable,
        )
