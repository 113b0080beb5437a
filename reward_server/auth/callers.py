"""Callers, and what they may do."""

from dataclasses import dataclass
from typing import Literal, get_args

from fastapi.requests import HTTPConnection

from sim_workers.pool.fair_queue import Flow

__all__ = ["ANYONE", "JOB_SHARE", "OPERATOR_NAME", "SCOPES", "Caller", "Scope", "caller_of"]

Scope = Literal["score", "upload", "admin", "read"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

JOB_SHARE = 0.1
"""Weight of a caller's bulk jobs relative to its calls: a job must never starve a trainer."""


@dataclass(frozen=True)
class Caller:
    """An authenticated caller."""

    name: str
    """The name of the API key; ``anyone`` if no key is required."""
    scopes: frozenset[Scope]
    weight: float = 1.0
    """Share of the workers relative to other callers."""

    def calls(self) -> Flow:
        """The flow of requests that the caller waits for."""
        return Flow(self.name, self.weight)

    def jobs(self) -> Flow:
        """The flow of bulk jobs."""
        return Flow(f"{self.name}/jobs", self.weight * JOB_SHARE, is_bulk=True)


ANYONE = Caller("anyone", SCOPES)
"""Anyone who reaches a service that requires no key."""


OPERATOR_NAME = "operator"
"""Name of the caller whose key is in the settings and not on record."""


def caller_of(request: HTTPConnection) -> Caller:
    """Who sent the request that is being answered.

    There always is one, put there by :class:`reward_server.auth.middleware.AuthMiddleware`; without
    it nothing may be answered.
    """
    caller: Caller = request.scope["greenfork.caller"]
    return caller
