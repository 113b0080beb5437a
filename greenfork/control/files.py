"""The files of each episode: its trips, the commands to the signals, and its record."""

import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shared.errors import ConfigError

if TYPE_CHECKING:
    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.episodes.figures import Trip

__all__ = ["TripsFormat", "check_format", "safe_name", "stem_of", "write_files"]

TripsFormat = Literal["csv", "parquet"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def check_format(trips_format: TripsFormat) -> None:
    """Checks that trips can be written.

    Raises:
        ConfigError: Parquet needs a package that is not installed.
    """
    if trips_format == "parquet":
        try:
            import pyarrow  # noqa: F401  better to report before the episodes run
        except ImportError as exc:
            raise ConfigError(
                "--trips-format parquet needs pyarrow; install greenfork[server], or write csv",
                "package_missing",
            ) from exc


def write_files(folder: Path, run: "ControlRun", trips_format: TripsFormat) -> None:
    """Writes one trip per row, the signals' commands, and the record that repeats the episode.

    An episode that failed leaves nothing.
    """
    from sim_workers.episodes.figures import trips_of

    if run.finished is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(run.controller, run.seed)
    trips = trips_of(run.finished.outputs.tripinfo)
    target = folder / f"{stem}.trips.{trips_format}"
    (_write_parquet if trips_format == "parquet" else _write_csv)(target, trips)
    actions = (action.model_dump_json() for action in run.finished.actions)
    (folder / f"{stem}.actions.jsonl").write_text("".join(f"{one}\n" for one in actions))
    (folder / f"{stem}.record.jsonl").write_text(run.finished.record.to_lines())


def stem_of(controller: str, seed: int) -> str:
    """The beginning of the names of an episode's files.

    >>> stem_of("replay:runs/a.jsonl", 3)
    'replay-runs-a.jsonl-seed3'
    """
    return f"{safe_name(controller)}-seed{seed}"


def safe_name(controller: str) -> str:
    """A controller's name as part of a file's name.

    >>> safe_name("model:runs/a")
    'model-runs-a'
    """
    return _UNSAFE.sub("-", controller)


def _write_csv(target: Path, trips: "Sequence[Trip]") -> None:
    import csv

    from sim_workers.episodes.figures import Trip

    with target.open("w", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Trip)])
        rows.writeheader()
        rows.writerows(map(asdict, trips))


def _write_parquet(target: Path, trips: "Sequence[Trip]") -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from sim_workers.episodes.figures import Trip

    kinds = [
        pa.field(field.name, pa.string() if field.name == "vehicle_id" else pa.float64())
        for field in fields(Trip)
    ]
    table = pa.Table.from_pylist([asdict(trip) for trip in trips], schema=pa.schema(kinds))
    parquet.write_table(table, target)
