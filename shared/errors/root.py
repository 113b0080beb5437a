"""The root of all errors, and those that belong to no room in particular."""

from typing import ClassVar

__all__ = ["GreenforkError", "InvalidDecision", "TrainingStopped", "first_of"]


class GreenforkError(Exception):
    """The root. ``message`` is for people; ``code`` is what programs may rely on.

    Args:
        message: What is wrong and what to do about it, in one or two sentences.
        code: A more specific code than the class's own.
    """

    code: str = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message, code)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class InvalidDecision(GreenforkError):
    """A decision that breaks a rule, or text that no decision can be read from.

    This is a real, low score: the item's status becomes ``invalid``, never ``failed``.
    """

    code = "invalid_decision"
    http_status = 422


class TrainingStopped(GreenforkError):
    """A training run that was failing stopped itself and says why."""

    code = "training_stopped"


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error to raise in place of a group: the first of ours, or else the first of all.

    >>> first_of(ExceptionGroup("", [OSError("gone"), InvalidDecision("no such phase")]))
    InvalidDecision('no such phase', None)
    """
    found: BaseException = group.subgroup(GreenforkError) or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
