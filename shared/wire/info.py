"""What a reward service tells of itself: ``GET /v1/info``, ``/healthz`` and ``/readyz``."""

from typing import Literal

from shared.model import WireModel

__all__ = [
    "Health",
    "IsolationInfo",
    "Limits",
    "MetricView",
    "RolloutsInfo",
    "ServiceInfo",
    "Versions",
]


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
    max_upload_bytes: int | None = None
    """Bytes of one uploaded scenario or state, as it is sent."""
    max_job_bytes: int | None = None
    """Bytes of one bulk job's body, unpacked; null where there are no bulk jobs."""
    max_job_items: int | None = None
    """Items of one bulk job."""
    max_pending_items: int
    """Items of all requests that are being worked on; more are answered 503."""
    rollout_timeout_s: float
    """Seconds one rollout may take."""


class IsolationInfo(WireModel):
    """What simulation processes on the gateway's own machine have given up."""

    network: bool
    """Whether they are cut off from every network."""
    limits: bool
    """Whether they cannot write files without end, dump their memory, or gain rights."""
    capabilities: bool = False
    """Whether they have no capability, whoever their user is."""
    files: bool = False
    """Whether they can write no file, and read those of their own scenario only (Landlock)."""
    landlock: int = 0
    """The version of Landlock; below 6 they could send signals to other processes of their user."""
    calls: bool = False
    """Whether they can execute no program and make no socket (seccomp)."""


class RolloutsInfo(WireModel):
    """How rollouts get a process at the moment of their state, on the gateway's own machine."""

    made_by: Literal["restore", "fork"]
    """``restore``: the process of the rollout before is put back to it, where a state is rolled
    out more than three times; ``fork``: each has a new one. Outcomes are equal."""
    reason: str | None = None
    """Why processes are not put back here."""
    check_every: int | None = None
    """Of so many that are put back, one is done by a fork as well and compared."""


class MetricView(WireModel):
    """A metric of traffic that an installed package adds."""

    name: str
    """As in rewards and requests, ``custom.co2``."""
    package: str
    """Name and version of the package."""
    digest: str
    """Of the package's files, 64 hex digits; outcomes are recorded under it."""


class ServiceInfo(WireModel):
    """Versions, limits and size of a reward service."""

    versions: Versions
    limits: Limits
    states: int
    """Number of states that can be scored on."""
    isolation: IsolationInfo | None = None
    """Of a cluster's other machines nothing is said."""
    rollouts: RolloutsInfo | None = None
    """Of a cluster's other machines nothing is said."""
    metrics: tuple[MetricView, ...] = ()
    """Those beside the built-in ones."""
    uptime_s: float


class Health(WireModel):
    """The body of ``GET /healthz`` and ``GET /readyz`` where all is well."""

    status: Literal["ok"]
