"""The files of an episode."""

import csv
from pathlib import Path

import pyarrow.parquet

from greenfork.control.files import write_files
from sim_workers.controllers.control_run import ControlRun
from tests.unit.greenfork.control.finished_episodes import run_of


def _number(text: str) -> float | None:
    return float(text) if text else None


def test_parquet_says_what_csv_says(tmp_path: Path) -> None:
    """Row by row, with null where a trip has no time; and numbers are numbers."""
    run = run_of("greedy")
    write_files(tmp_path, run, "csv")
    write_files(tmp_path, run, "parquet")
    with (tmp_path / "greedy-seed1.trips.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "greedy-seed1.trips.parquet").to_pylist()
    as_numbers = [
        {name: text if name == "vehicle_id" else _number(text) for name, text in row.items()}
        for row in rows
    ]
    assert [list(row) for row in table] == [list(row) for row in rows]
    assert table == as_numbers
    assert [(row["vehicle_id"], row["depart_s"], row["arrival_s"]) for row in table] == [
        ("a", 25_200, 25_240),
        ("b", 25_210, None),
        ("c", None, None),
    ]
    assert table[1]["time_loss_s"] == 80


def test_a_failed_episode_leaves_no_files(tmp_path: Path) -> None:
    """Half of one would look like a whole one."""
    write_files(tmp_path / "trips", ControlRun("greedy", 1, None, None), "csv")
    assert not (tmp_path / "trips").exists()
