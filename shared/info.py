"""What a reward service tells of itself: ``GET /v1/info``, ``/healthz`` and ``/readyz``."""

from typing import Literal

from shared.model import WireModel

__all__ = ["Health", "Limits", "ServiceInfo", "Versions"]


class Versions(WireModel):
    """Versions of the programs a service is made of."""

    greenfork: str
    sumo: str
    ray: str


class Limits(WireModel):
    """What one request may ask for."""

    max_items: int
    """Items in one request."""
    max_body_bytes: int
    """Bytes of one request's body."""
    max_pending_items: int
    """Items of all requests that are being worked on; more are answered 503."""
    rollout_timeout_s: float
    """Seconds one rollout may take."""


class ServiceInfo(WireModel):
    """Versions, limits and size of a reward service."""

    versions: Versions
    limits: Limits
    states: int
    """Number of states that can be scored on."""
    uptime_s: float


class Health(WireModel):
    """The body of ``GET /healthz`` and ``GET /readyz`` where all is well."""

    status: Literal["ok"]
