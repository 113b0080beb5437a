"""``greenfork push``: bring a scenario, or a dataset's states, to a reward service."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.commands.options import Url, secret
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say
from shared.errors import DatasetError, GreenforkError, first_of
from shared.files import os_errors

if TYPE_CHECKING:
    from pydantic import SecretStr

    from reward_client import RewardClient
    from shared.wire.states import Restore, StateView
    from sim_workers.states.store import StoredState

__all__ = ["EXAMPLE", "push"]

EXAMPLE = """Examples:

greenfork push my-city.sumocfg --url http://127.0.0.1:8000

greenfork push datasets/my-city --url https://rewards.example --json

greenfork push state.xml --scenario my-city-0123456789ab --seed 5 --url http://127.0.0.1:8000
"""

_AT_A_TIME = 2
_GREEN_LIMITS_S = (5.0, 60.0)
"""What a service gives the signals of uploads; see :mod:`sim_workers.datasets.inspection`."""


@dataclass(frozen=True)
class _Cargo:
    """What is pushed."""

    name: str
    """The scenario's."""
    files: dict[str, bytes]
    """The normalised scenario."""
    states: "tuple[StoredState, ...]" = ()


@dataclass(frozen=True)
class _Pushed:
    """What became of it."""

    scenario_id: str
    created: bool
    states: "tuple[StateView, ...]"

    def restores(self) -> "Counter[Restore]":
        """How many states the service restores in which way."""
        return Counter(state.restore for state in self.states)


_Source = Annotated[
    Path, typer.Argument(help="A .sumocfg, a dataset folder, or with --scenario one state.")
]
_ScenarioId = Annotated[
    str | None,
    typer.Option("--scenario", help="The id of the scenario that a state was saved from."),
]
_UploadKey = Annotated[
    str | None,
    typer.Option(envvar="GREENFORK_API_KEY", help="API key with the scope upload."),
]


def push(
    path: _Source,
    url: Url,
    scenario_id: _ScenarioId = None,
    seed: Annotated[int, typer.Option(min=0, help="One state: SUMO's seed of its run.")] = 23423,
    scale: Annotated[float, typer.Option(help="One state: SUMO's --scale of its run.")] = 1.0,
    api_key: _UploadKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was pushed as JSON.")] = False,
) -> None:
    """Upload a scenario, or the scenario and all states of a dataset, to a reward service.

    A scenario is pushed as a dataset would contain it: with all the files it needs, and without
    options that write files or open sockets. States keep their ids. The service cannot know that
    they are exact, so every reward for them says "unverified"; if that matters, serve the dataset
    itself. Repeating a push is harmless.
    """
    import asyncio

    if scenario_id is not None:
        view = asyncio.run(_push_one(path, url, secret(api_key), (scenario_id, seed, scale)))
        _print_one(view, as_json)
        return
    if path.is_dir():
        cargo = _read_dataset(path)
    else:
        from sim_workers.scenarios.scenario import load_scenario

        scenario = load_scenario(path)
        cargo = _Cargo(scenario.name, scenario.files)
    states = len(cargo.states)
    with progress_bar("Pushing states", total=states, is_hidden=not states) as update:
        pushed = asyncio.run(_push(cargo, url, secret(api_key), partial(update, advance=1)))
    if as_json:
        print_json(
            {
                "scenario_id": pushed.scenario_id,
                "created": pushed.created,
                "states": [state.state_id for state in pushed.states],
                "restore": pushed.restores(),
            }
        )
    else:
        _print(pushed)


async def _push_one(
    path: Path, url: str, key: "SecretStr | None", run: tuple[str, int, float]
) -> "StateView":
    """Uploads a state file of a scenario that the service has."""
    import asyncio

    from reward_client import RewardClient

    with os_errors(DatasetError, f"cannot read {path}"):
        content = await asyncio.to_thread(path.read_bytes)
    async with RewardClient(url, key) as client:
        return await client.push_state(content, *run)


def _print_one(view: "StateView", as_json: bool) -> None:
    if as_json:
        print_json({"state_id": view.state_id, "restore": view.restore, "time_s": view.time_s})
    else:
        say(f"{view.state_id}: {view.restore}; signals {', '.join(sorted(view.definitions))}")


def _read_dataset(root: Path) -> _Cargo:
    from shared.dataset import DatasetLayout
    from sim_workers.scenarios.scenario import read_files
    from sim_workers.states.store import StateStore, read_manifest

    manifest, layout = read_manifest(root), DatasetLayout(root)
    limits = {(signal.min_green_s, signal.max_green_s) for signal in manifest.signals.values()}
    if limits - {_GREEN_LIMITS_S}:
        raise DatasetError(
            f"{root} has green limits other than the {_GREEN_LIMITS_S[0]:g} and "
            f"{_GREEN_LIMITS_S[1]:g} s of uploads, so decisions would have another meaning",
            "other_green_limits",
        )
    states = tuple(StateStore.open([root]))
    if states:
        files = states[0].read_scenario()  # compared with its digest
    elif layout.scenario.is_dir():
        files = read_files(layout.scenario)
    else:
        raise DatasetError(f"{layout.scenario} does not exist")
    return _Cargo(manifest.scenario.name, files, states)


async def _push(
    cargo: _Cargo, url: str, key: "SecretStr | None", on_state: Callable[[], None]
) -> _Pushed:
    from reward_client import RewardClient
    from reward_client.uploads import pack

    async with RewardClient(url, key) as client:
        scenario = await client.push_scenario(pack(cargo.files), cargo.name)
        states = await _push_states(client, scenario.scenario_id, cargo.states, on_state)
    return _Pushed(scenario.scenario_id, scenario.created, states)


async def _push_states(
    client: "RewardClient",
    scenario_id: str,
    states: "Iterable[StoredState]",
    on_state: Callable[[], None],
) -> "tuple[StateView, ...]":
    """Pushes states, a few at a time; the first one that is refused ends it."""
    import asyncio

    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(state: "StoredState") -> "StateView":
        async with slots:
            record, content = state.record, await asyncio.to_thread(state.read)
            view = await client.push_state(content, scenario_id, record.seed, record.scale)
        on_state()
        return view

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(state)) for state in states]
    except* GreenforkError as failed:
        raise first_of(failed) from failed
    return tuple(task.result() for task in tasks)


def _print(pushed: _Pushed) -> None:
    was = "uploaded" if pushed.created else "already on the service"
    say(f"{pushed.scenario_id}: {was}")
    for restore, count in sorted(pushed.restores().items()):
        means = {
            "unverified": "not proven exact on the service; every reward for them says so",
            "state": "served from a dataset, and proven exact",
            "replay": "served from a dataset, by replaying their run",
        }
        say(f"{count} states are {restore}: {means[restore]}")
