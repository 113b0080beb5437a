"""A job as stored in the database."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Float, Row, cast, extract, func

from reward_server.auth.callers import Caller
from reward_server.storage.database import Dialect
from shared.wire.error_info import ErrorInfo
from shared.wire.jobs import JobSpec, JobView
from shared.wire.scoring import Counts
from sim_workers.pool.fair_queue import Flow

__all__ = ["VISIBLE", "Job", "database_clock", "read_job"]

Stored = Literal["storing", "queued", "running", "done", "failed", "deleting"]
VISIBLE: tuple[Stored, ...] = ("queued", "running", "done", "failed")
"""Excludes jobs whose items are still being stored or are being deleted."""

_EPOCH_JULIAN_DAY = 2440587.5
_DAY_S = 86400.0


@dataclass(frozen=True)
class Job:
    """One job."""

    job_id: str
    caller: str
    weight: float
    """The caller's weight when the job was sent."""
    digest: str
    """Equal for jobs with equal items and an equal spec."""
    spec: JobSpec
    status: Stored
    items: int
    counts: Counts
    created_at: float
    """Seconds since 1970 by the database's clock, like the next two."""
    started_at: float | None
    finished_at: float | None
    error: ErrorInfo | None

    @property
    def done(self) -> int:
        """Number of items that have a result."""
        return self.counts.scored + self.counts.invalid + self.counts.failed

    def flow(self) -> Flow:
        """The flow whose share of the workers it uses."""
        return Caller(self.caller, frozenset(), self.weight).jobs()

    def view(self, items_per_s: float | None = None) -> JobView:
        """The job as its caller sees it.

        Args:
            items_per_s: Its recent rate, if known.
        """
        assert self.status not in ("storing", "deleting"), "nobody sees those"  # noqa: S101
        if self.finished_at is not None and self.started_at is not None:
            items_per_s = self.done / max(self.finished_at - self.started_at, 0.001)
        is_running = self.status == "running"
        open_items = self.items - self.done
        return JobView(
            id=self.job_id,
            status=self.status,
            items=self.items,
            done=self.done,
            counts=self.counts,
            reward=self.spec.reward,
            series=self.spec.series,
            metrics=self.spec.metrics,
            created_at=_utc(self.created_at),
            started_at=None if self.started_at is None else _utc(self.started_at),
            finished_at=None if self.finished_at is None else _utc(self.finished_at),
            items_per_s=None if items_per_s is None else round(items_per_s, 1),
            eta_s=round(open_items / items_per_s, 1) if is_running and items_per_s else None,
            error=self.error,
        )


def read_job(row: Row[Any]) -> Job:
    """The job in a row of the table."""
    columns = row._asdict()
    parts = {
        "spec": JobSpec.model_validate_json(row.spec),
        "counts": Counts(**{name: columns[name] for name in Counts.model_fields}),
        "error": None if row.error is None else ErrorInfo.model_validate_json(row.error),
    }
    return Job(**{one.name: (columns | parts)[one.name] for one in fields(Job)})


def database_clock(dialect: Dialect) -> ColumnElement[float]:
    """The current time, in seconds since 1970, by the clock that all gateways share."""
    if dialect == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()), Float)
    return (func.julianday("now", type_=Float) - _EPOCH_JULIAN_DAY) * _DAY_S


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
