"""``greenfork dataset import``: rows of earlier scripts, with their state files, for a service."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenfork.commands.options import ApiKey, Url, secret
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say
from shared.errors import ConfigError, DatasetError, InputError, ServiceRefused
from shared.files import os_errors

if TYPE_CHECKING:
    from reward_client import RewardClient
    from shared.wire.states import StateView

__all__ = ["EXAMPLE", "Imported", "Importer", "dataset_import"]

EXAMPLE = """Example:

greenfork dataset import old/ --scenario city.sumocfg --out datasets/imported
--url http://127.0.0.1:8000
"""

_SIGNAL = ("tls_id", "tl_id", "junction_id")
_RENAMED = ("current_green_elapsed", "min_green", "max_green")


@dataclass(frozen=True)
class Imported:
    """What became of one row."""

    row: dict[str, Any] | None
    """As it is written; None where it was left out."""
    said: str
    """One line: the state, its signal and how it is restored; or why the row was left out."""


_Old = Annotated[Path, typer.Argument(help="A file of rows, or a folder with */grpo_dataset.json.")]
_Seed = Annotated[
    int | None,
    typer.Option(min=0, help="SUMO's seed of rows without a seed. Default: the configuration's."),
]


def dataset_import(
    old: _Old,
    scenario: Annotated[Path, typer.Option(help="The .sumocfg that the states were saved from.")],
    out: Annotated[Path, typer.Option(help="Folder to create; must be empty or missing.")],
    url: Url,
    api_key: ApiKey = None,
    seed: _Seed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Take rows with state files of another script over, for training against a service.

    The scenario and every state file are uploaded, and rows get today's columns; all others are
    kept. Uploaded states are "unverified": nothing proves that their files go on exactly. A row
    whose state is refused, or whose signal is not clear, is listed with the reason and left out,
    and the exit status is 1.
    """
    from reward_client import RewardClient
    from sim_workers.scenarios.scenario import load_scenario

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} already exists; choose another folder", "dataset_exists")
    bundle = load_scenario(scenario)
    rows = _rows(old)

    async def run(on_row: Callable[[], None]) -> tuple[str, list[Imported]]:
        from reward_client.uploads import pack

        async with RewardClient(url, secret(api_key)) as client:
            pushed = await client.push_scenario(pack(bundle.files), bundle.name)
            given_seed = bundle.run_seed if seed is None else seed
            importer = Importer(client, pushed.scenario_id, given_seed)
            found = []
            for row, folder in rows:
                found.append(await importer.take(row, folder))
                on_row()
            return pushed.scenario_id, found

    with progress_bar("Importing", total=len(rows)) as update:
        scenario_id, found = asyncio.run(run(lambda: update(advance=1)))
    kept = [one.row for one in found if one.row is not None]
    if kept:
        _write(out, kept)
    _tell(out, scenario_id, found, as_json)
    raise typer.Exit(0 if len(kept) == len(found) else 1)


@dataclass
class Importer:
    """Takes rows, and uploads each state file once."""

    client: "RewardClient"
    scenario_id: str
    seed: int
    """Of rows that name none."""
    _views: "dict[tuple[Path, int, float], StateView | str]" = field(default_factory=dict)
    """What the service said to each file; a text says why it was refused."""

    async def take(self, row: dict[str, Any], folder: Path) -> Imported:
        """One row.

        Args:
            row: As it was written.
            folder: Where relative state files begin.
        """
        named = row.get("state_file")
        if not isinstance(named, str) or not named:
            return Imported(None, "no state_file")
        file = _found(Path(named), folder)
        if file is None:
            return Imported(None, f"{named} does not exist")
        seed, scale = int(row.get("seed") or self.seed), float(row.get("scale") or 1.0)
        view = await self._view(file, seed, scale)
        if isinstance(view, str):
            return Imported(None, f"{named}: {view}")
        signal = next((str(row[name]) for name in _SIGNAL if row.get(name)), None)
        try:
            tls_id = _signal(signal, view)
        except InputError as exc:
            return Imported(None, f"{named}: {exc.message}")
        return Imported(_today(row, view, tls_id), f"{view.state_id}, {tls_id}: {view.restore}")

    async def _view(self, file: Path, seed: int, scale: float) -> "StateView | str":
        key = (file, seed, scale)
        if key not in self._views:
            content = await asyncio.to_thread(file.read_bytes)
            try:
                self._views[key] = await self.client.push_state(
                    content, self.scenario_id, seed, scale
                )
            except ServiceRefused as exc:
                self._views[key] = f"{exc.message} [{exc.code}]"
        return self._views[key]


def _found(named: Path, folder: Path) -> Path | None:
    """A state file by its path, beside its rows, or by its name in their folder."""
    places = (folder / named, named, folder / named.name, folder / "states" / named.name)
    return next((place for place in places if place.is_file()), None)


def _signal(named: str | None, view: "StateView") -> str:
    """The signal of a row; without a name, the state's only one.

    Raises:
        DatasetError: There are others, which are listed.
    """
    known = sorted(view.definitions)
    if named in view.definitions:
        return str(named)
    if named is None and len(known) == 1:
        return known[0]
    was = "no junction_id" if named is None else f"no signal {named!r}"
    raise DatasetError(f"{was}; the state has {', '.join(known) or 'none'}", "unknown_signal")


def _today(row: dict[str, Any], view: "StateView", tls_id: str) -> dict[str, Any]:
    """A row with today's columns, and all of its own that are none of them."""
    shown, definition = view.signals[tls_id], view.definitions[tls_id]
    own = {name: value for name, value in row.items() if name not in (*_SIGNAL, *_RENAMED)}
    return own | {
        "state_id": view.state_id,
        "scenario": view.scenario_id,
        "tls_id": tls_id,
        "decision_kind": row.get("decision_kind") or "extend",
        "current_phase": shown.phase,
        "elapsed_green_s": row.get("current_green_elapsed", shown.elapsed_s),
        "min_green_s": row.get("min_green", definition.min_green_s),
        "max_green_s": row.get("max_green", definition.max_green_s),
        "time_s": view.time_s,
        "seed": view.seed,
        "restore": view.restore,
    }


def _rows(old: Path) -> list[tuple[dict[str, Any], Path]]:
    """Every row of a file or folder, with the folder that it lies in."""
    from trainer.data.prompts import dataset_files, read_records

    rows = []
    for file in dataset_files(old):
        for number, record in enumerate(read_records(file), start=1):
            if not isinstance(record, dict):
                raise DatasetError(f"{file}, row {number}: expected an object")
            rows.append((record, file.parent))
    if not rows:
        raise DatasetError(f"{old} has no rows")
    return rows


def _write(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    with os_errors(ConfigError, f"cannot write {out}"):
        out.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (out / "train.jsonl").write_text(text, encoding="utf-8")


def _tell(out: Path, scenario_id: str, found: Sequence[Imported], as_json: bool) -> None:
    lines = [
        {"row": number, "taken": one.row is not None, "said": one.said}
        for number, one in enumerate(found, start=1)
    ]
    if as_json:
        print_json({"dataset": str(out), "scenario_id": scenario_id, "rows": lines})
        return
    for line in lines:
        say(f"row {line['row']}: {'' if line['taken'] else 'left out: '}{line['said']}")
    taken = sum(one.row is not None for one in found)
    say(f"{taken} of {len(found)} rows are in {out}; unverified states: rewards for them say so")
