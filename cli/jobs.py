"""``greenfork jobs``: the bulk jobs of a reward service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.output import print_json

if TYPE_CHECKING:
    from reward_client.jobs import JobClient
    from shared.jobs import JobView

__all__ = ["app"]

app = typer.Typer(help="List, show and cancel bulk jobs.", no_args_is_help=True)

_Url = Annotated[str, typer.Option(help="The reward service, http://127.0.0.1:8000.")]
_JobId = Annotated[str, typer.Argument(help="The job's id.")]
_ApiKey = Annotated[
    str | None,
    typer.Option(envvar="GREENFORK_API_KEY", help="The service's API key, if it has one."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Answer = TypeVar("_Answer")


@app.command("list", epilog="Example: greenfork jobs list --url http://127.0.0.1:8000")
def list_jobs(
    url: _Url,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    api_key: _ApiKey = None,
    as_json: _AsJson = False,
) -> None:
    """List your jobs, the newest first."""
    page = _asked(url, api_key, lambda jobs: jobs.jobs(limit))
    if as_json:
        print_json([job.model_dump(mode="json") for job in page.jobs])
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column("job", no_wrap=True), "status", "done", "failed", "items/s", "left", "sent (UTC)"
    )
    for job in page.jobs:
        table.add_row(job.id, job.status, *_progress(job), f"{job.created_at:%Y-%m-%d %H:%M:%S}")
    Console().print(table)


@app.command(epilog="Example: greenfork jobs show 5b0e… --url http://127.0.0.1:8000")
def show(job_id: _JobId, url: _Url, api_key: _ApiKey = None, as_json: _AsJson = False) -> None:
    """Show how far a job is."""
    job = _asked(url, api_key, lambda jobs: jobs.job(job_id))
    if as_json:
        print_json(job.model_dump(mode="json"))
        return
    from rich.console import Console
    from rich.table import Table

    done, failed, rate, left = _progress(job)
    table = Table(title=job.id, show_header=False)
    rows = {"status": job.status, "done": done, "invalid": str(job.counts.invalid)}
    rows |= {"failed": failed, "rollouts": str(job.counts.rollouts), "items a second": rate}
    rows |= {"time left": left, "reward": job.reward.model_dump_json(exclude_none=True)}
    rows |= {"error": job.error.message} if job.error else {}
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


@app.command(epilog="Example: greenfork jobs cancel 5b0e… --url http://127.0.0.1:8000")
def cancel(job_id: _JobId, url: _Url, api_key: _ApiKey = None, as_json: _AsJson = False) -> None:
    """End a job where it runs, and delete it with its results."""
    _asked(url, api_key, lambda jobs: jobs.delete(job_id))
    if as_json:
        print_json({"id": job_id, "cancelled": True})
    else:
        typer.echo(f"{job_id}: cancelled and deleted")


def _progress(job: "JobView") -> tuple[str, str, str, str]:
    """Items done, items failed, items a second, time left."""
    rate = "-" if job.items_per_s is None else f"{job.items_per_s:.1f}"
    left = "-" if job.eta_s is None else f"{job.eta_s:.0f} s"
    return f"{job.done}/{job.items}", str(job.counts.failed), rate, left


def _asked(
    url: str, api_key: str | None, ask: "Callable[[JobClient], Awaitable[_Answer]]"
) -> _Answer:
    from pydantic import SecretStr

    from reward_client.jobs import JobClient

    async def answer() -> _Answer:
        async with JobClient(url, SecretStr(api_key) if api_key else None) as jobs:
            return await ask(jobs)

    return asyncio.run(answer())
