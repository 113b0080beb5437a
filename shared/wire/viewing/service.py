"""What a service is doing at the moment: ``GET /v1/service`` and its events."""

from shared.model import WireModel
from shared.wire.jobs import JobView

__all__ = ["Figure", "FlowView", "ServiceView", "Viewer"]


class Figure(WireModel):
    """A sample of ``GET /metrics``: the same name, labels and value."""

    name: str
    labels: dict[str, str]
    value: float


class FlowView(WireModel):
    """What one caller has at the workers."""

    name: str
    """The name of its key, ``/jobs`` behind it for its bulk jobs; ``others`` for those that the
    viewer may not know by name, all together."""
    weight: float
    queued: int
    """Rollouts that wait."""
    running: int
    done: int
    """Rollouts done since the start of this gateway."""


class Viewer(WireModel):
    """Who looks."""

    name: str
    scopes: tuple[str, ...]


class ServiceView(WireModel):
    """A glance at one gateway."""

    at_s: float
    """Seconds since 1970."""
    uptime_s: float
    viewer: Viewer
    figures: tuple[Figure, ...]
    """The samples of the metrics page, buckets of histograms left out."""
    flows: tuple[FlowView, ...]
    jobs: tuple[JobView, ...] | None
    """The viewer's own jobs, the newest first, at most 20; null where they cannot be read now."""
