"""``greenfork episodes``: the episodes of a reward service."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from greenfork.commands.options import ApiKey, Url, secret
from greenfork.output import print_json
from greenfork.screen import figure, print_rows, say, screen

if TYPE_CHECKING:
    from rich.table import Table

    from reward_client import RewardClient
    from shared.wire.episode_views import EpisodeDetail, EpisodeResult, EpisodeView

__all__ = ["app"]

app = typer.Typer(help="List, show and delete episodes.", no_args_is_help=True)

_EpisodeId = Annotated[str, typer.Argument(help="Episode id.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Answer = TypeVar("_Answer")


@app.command("list", epilog="Example: greenfork episodes list --url http://127.0.0.1:8000")
def list_episodes(
    url: Url,
    status: Annotated[
        Literal["running", "finished"] | None, typer.Option(help="Only these.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of episodes.")] = 20,
    api_key: ApiKey = None,
    as_json: _AsJson = False,
) -> None:
    """List your episodes, newest first; times are UTC."""
    found = _asked(url, api_key, lambda client: client.episodes(status))[:limit]
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    screen().print(_listed(found, datetime.now(UTC)))


def _listed(episodes: "Sequence[EpisodeView]", now: datetime) -> "Table":
    """A line an episode, which 80 columns hold; an id is never cut, for others want it."""
    from rich.table import Column, Table

    table = Table(
        Column("episode", no_wrap=True, min_width=32),
        *("status", "begun"),
        *(Column(name, justify="right") for name in ("steps", "done", "seed")),
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for one in episodes:
        begun = one.created_at.astimezone(UTC)
        when = f"{begun:%H:%M}" if begun.date() == now.date() else f"{begun:%b %d}"
        done = (one.time_s - one.begin_s) / (one.end_s - one.begin_s)
        steps, seed = str(one.step), str(one.seed)
        table.add_row(one.episode_id, one.status, when, steps, f"{int(100 * done)} %", seed)
    return table


@app.command(epilog="Example: greenfork episodes show 3f8a… --url http://127.0.0.1:8000")
def show(
    episode_id: _EpisodeId, url: Url, api_key: ApiKey = None, as_json: _AsJson = False
) -> None:
    """Show where an episode is, and the figures of a finished one."""
    found, result = _asked(url, api_key, lambda client: _shown(client, episode_id))
    if as_json:
        figures = None if result is None else result.model_dump(mode="json")
        print_json(found.model_dump(mode="json") | {"result": figures})
        return
    rows = {"scenario": found.scenario_id, "from state": found.state_id or "-"}
    rows |= {"status": found.status, "steps": str(found.step)}
    rows |= {"at": f"{found.time_s:g} s of {found.begin_s:g} to {found.end_s:g} s"}
    rows |= {"seed, scale": f"{found.seed}, {found.scale:g}"}
    rows |= {"control": found.control.model_dump_json(exclude_none=True)}
    rows |= {"signals": ", ".join(found.signals)}
    if result is not None:
        rows |= {"delay": figure(result.delay_s, ".1f", " s")}
        rows |= {"trip": figure(result.travel_time_s, ".1f", " s")}
        rows |= {"queue": figure(result.queue_veh, ".2f", " veh")}
        rows |= {"arrived": f"{result.throughput_veh} of {result.vehicles}"}
    print_rows(found.episode_id, rows.items())


async def _shown(
    client: "RewardClient", episode_id: str
) -> "tuple[EpisodeDetail, EpisodeResult | None]":
    found = await client.episode(episode_id)
    if found.status != "finished":
        return found, None
    return found, await client.episode_result(episode_id)


@app.command(epilog="Example: greenfork episodes delete 3f8a… --url http://127.0.0.1:8000")
def delete(
    episode_id: _EpisodeId, url: Url, api_key: ApiKey = None, as_json: _AsJson = False
) -> None:
    """Delete an episode with everything that belongs to it."""
    _asked(url, api_key, lambda client: client.delete_episode(episode_id))
    if as_json:
        print_json({"id": episode_id, "deleted": True})
    else:
        say(f"{episode_id}: deleted")


def _asked(
    url: str, api_key: str | None, ask: "Callable[[RewardClient], Awaitable[_Answer]]"
) -> _Answer:
    from reward_client import RewardClient

    async def answer() -> _Answer:
        async with RewardClient(url, secret(api_key)) as client:
            return await ask(client)

    return asyncio.run(answer())
