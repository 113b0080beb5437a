"""An error as it travels: in a result, in a problem document, from a worker to the gateway."""

from typing import Self

from shared.errors import GreenforkError, RolloutError
from shared.model import WireModel

__all__ = ["ErrorInfo"]


class ErrorInfo(WireModel):
    """An error as it stands in a result or a problem document."""

    code: str
    """Stable, machine-readable: ``below_min_green``, ``worker_lost``."""
    message: str
    """What happened, for people."""
    retryable: bool
    """Whether sending the same item again can help."""

    @classmethod
    def of(cls, error: GreenforkError) -> Self:
        """Describes ``error`` for the wire."""
        return cls(code=error.code, message=error.message, retryable=error.retryable)

    def to_error(self) -> GreenforkError:
        """The error again, as the class that has this code, or its nearest known ancestor."""
        kind = _by_code(GreenforkError).get(self.code)
        if kind is not None:
            return kind(self.message)
        return (_RetryableRolloutError if self.retryable else RolloutError)(self.message, self.code)


class _RetryableRolloutError(RolloutError):
    retryable = True


def _by_code(root: type[GreenforkError]) -> dict[str, type[GreenforkError]]:
    found = {root.code: root}
    for kind in root.__subclasses__():
        found |= {code: k for code, k in _by_code(kind).items() if code not in found}
    return found
