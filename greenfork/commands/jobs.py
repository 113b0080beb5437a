"""``greenfork jobs``: the bulk jobs of a reward service."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from greenfork.commands.options import ApiKey, Url, secret
from greenfork.output import print_json
from greenfork.screen import figure, print_rows, say, screen

if TYPE_CHECKING:
    from rich.table import Table

    from reward_client.jobs import JobClient
    from shared.wire.jobs import JobView

__all__ = ["app"]

app = typer.Typer(help="List, show and cancel bulk jobs.", no_args_is_help=True)

_JobId = Annotated[str, typer.Argument(help="Job id.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Answer = TypeVar("_Answer")


@app.command("list", epilog="Example: greenfork jobs list --url http://127.0.0.1:8000")
def list_jobs(
    url: Url,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of jobs.")] = 20,
    api_key: ApiKey = None,
    as_json: _AsJson = False,
) -> None:
    """List your jobs, newest first; times are UTC."""
    page = _asked(url, api_key, lambda jobs: jobs.jobs(limit))
    if as_json:
        print_json([job.model_dump(mode="json") for job in page.jobs])
        return
    screen().print(_listed(page.jobs, datetime.now(UTC)))


def _listed(jobs: "Sequence[JobView]", now: datetime) -> "Table":
    """A line a job, which 80 columns hold; an id is never cut, for other commands want it."""
    from rich.table import Column, Table

    table = Table(
        Column("job", no_wrap=True, min_width=32),
        *("status", "sent"),
        *(Column(name, justify="right") for name in ("items", "done", "failed", "left")),
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for job in jobs:
        sent = job.created_at.astimezone(UTC)
        when = f"{sent:%H:%M}" if sent.date() == now.date() else f"{sent:%b %d}"
        counts = str(job.items), _percent(job.done, job.items), str(job.counts.failed)
        left = "-" if job.eta_s is None else _duration(job.eta_s)
        table.add_row(job.id, job.status, when, *counts, left)
    return table


def _percent(part: int, whole: int) -> str:
    """Whole percents, and 100 only of what is complete.

    >>> _percent(999, 1000), _percent(1000, 1000)
    ('99 %', '100 %')
    """
    return f"{100 * part // whole if whole else 100} %"


def _duration(seconds: float) -> str:
    """In the unit that leaves few digits.

    >>> _duration(40), _duration(3000), _duration(100_000), _duration(1e6)
    ('40 s', '50 min', '28 h', '12 d')
    """
    for size, unit, most in ((1, "s", 120), (60, "min", 120), (3600, "h", 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


@app.command(epilog="Example: greenfork jobs show 5b0e… --url http://127.0.0.1:8000")
def show(job_id: _JobId, url: Url, api_key: ApiKey = None, as_json: _AsJson = False) -> None:
    """Show the progress of a job."""
    job = _asked(url, api_key, lambda jobs: jobs.job(job_id))
    if as_json:
        print_json(job.model_dump(mode="json"))
        return
    counts, reward = job.counts, job.reward.model_dump_json(exclude_none=True)
    rows = {"status": job.status, "done": f"{job.done}/{job.items}"}
    rows |= {"invalid": str(counts.invalid), "failed": str(counts.failed)}
    rows |= {"rollouts": str(counts.rollouts), "items per second": figure(job.items_per_s, ".1f")}
    rows |= {"time left": figure(job.eta_s, ".0f", " s"), "reward": reward}
    rows |= {"error": job.error.message} if job.error else {}
    print_rows(job.id, rows.items())


@app.command(epilog="Example: greenfork jobs cancel 5b0e… --url http://127.0.0.1:8000")
def cancel(job_id: _JobId, url: Url, api_key: ApiKey = None, as_json: _AsJson = False) -> None:
    """Cancel a job and delete it with its results."""
    _asked(url, api_key, lambda jobs: jobs.delete(job_id))
    if as_json:
        print_json({"id": job_id, "cancelled": True})
    else:
        say(f"{job_id}: cancelled and deleted")


def _asked(
    url: str, api_key: str | None, ask: "Callable[[JobClient], Awaitable[_Answer]]"
) -> _Answer:
    from reward_client.jobs import JobClient

    async def answer() -> _Answer:
        async with JobClient(url, secret(api_key)) as jobs:
            return await ask(jobs)

    return asyncio.run(answer())
