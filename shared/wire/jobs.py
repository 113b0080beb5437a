"""Bulk jobs: the messages of ``/v1/jobs``."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from shared.model import WireModel
from shared.rewards import AnyMetricName, RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, ScoreResult

__all__ = ["JobPage", "JobResult", "JobSpec", "JobStatus", "JobView"]

_Metrics = Annotated[
    tuple[AnyMetricName, ...] | None, Field(min_length=1, exclude_if=lambda names: names is None)
]
JobStatus = Literal["queued", "running", "done", "cancelled", "failed"]


class JobSpec(WireModel):
    """What is asked for every item of a job; with a file, the query parameter ``spec``."""

    reward: RewardSpec = RewardSpec()
    series: bool = False
    """Whether the metrics hold the queue after each second."""
    metrics: _Metrics = None
    """Only these are in the results' ``metrics``; None, which is not written down: all."""


class JobView(WireModel):
    """A job as it is at the moment."""

    id: str
    status: JobStatus
    """``failed``: the job as a whole cannot go on, see ``error``. Items that failed are counted."""
    items: int
    done: int
    """Items that have a result."""
    counts: Counts
    """Of the results so far."""
    reward: RewardSpec
    series: bool
    metrics: _Metrics = None
    """The only ones in the results, where some were named."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    items_per_s: float | None = None
    """Lately; of a finished job, over all of its time. Null where it is not known."""
    eta_s: float | None = None
    """Seconds until it is done, if it goes on like this. Null where that is not known."""
    error: ErrorInfo | None = None
    """Why the job failed as a whole."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status not in ("queued", "running")


class JobPage(WireModel):
    """Some of a caller's jobs, the newest first."""

    jobs: tuple[JobView, ...]
    total: int
    """All there are."""
    limit: int
    offset: int


class JobResult(ScoreResult):
    """What became of one item: a ``ScoreResult`` without what depends on when it was computed.

    So the results of a job are the same bytes however often it was interrupted.
    """

    cached: bool = Field(default=False, exclude=True)
    """Not known, and not said."""

    @classmethod
    def of(cls, result: ScoreResult) -> Self:
        """What is kept of a result."""
        return cls(**dict(result) | {"cached": False})

    def to_result(self) -> ScoreResult:
        """The result in the shape of ``POST /v1/score``; ``cached`` is not known and false."""
        return ScoreResult(**dict(self))
