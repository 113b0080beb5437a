"""The ledger on its own."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reward_server.ledger import SCHEMA_VERSION, Entry, Ledger
from shared.decisions import Extend, NextPhase
from shared.errors import ConfigError, LedgerError
from sim_workers.rollouts import RolloutTask
from tests.unit.reward_server.world import GREEN, GRID, make_metrics

TASK = RolloutTask.of(GREEN, "C", Extend(extend=True), 60)


def entry(key: str, queue_veh: float = 0.1) -> Entry:
    """An outcome under any key."""
    return Entry(key, TASK, make_metrics(queue_veh), "sumo 1.28.0")


async def test_outcomes_survive_reopening_to_the_last_bit(tmp_path: Path) -> None:
    """Floats come back as they were, with the series."""
    path = tmp_path / "new" / "ledger.sqlite"
    ledger = Ledger(path)
    await ledger.start()
    await ledger.put_many([entry("a", 0.1 + 0.2)])
    await ledger.close()
    reopened = Ledger(path)
    await reopened.start()
    found = await reopened.get_many(["a", "b"])
    await reopened.close()
    assert found == {"a": make_metrics(0.1 + 0.2)}


async def test_first_outcome_stands(tmp_path: Path) -> None:
    """What is on record is never changed."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.start()
    await ledger.put_many([entry("a", 1.0), entry("b", 1.0)])
    await ledger.put_many([entry("a", 2.0), entry("c", 2.0)])
    found = await ledger.get_many(["a", "b", "c"])
    await ledger.close()
    assert [found[key].queue_veh for key in "abc"] == [1.0, 1.0, 2.0]


async def test_many_keys_are_looked_up_at_once(tmp_path: Path) -> None:
    """More than a database takes in one query."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.start()
    await ledger.put_many([entry(str(i)) for i in range(1200)])
    found = await ledger.get_many([str(i) for i in range(1300)])
    await ledger.close()
    assert len(found) == 1200


async def test_nothing_is_asked_for_nothing(tmp_path: Path) -> None:
    """Empty batches are fine."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.start()
    await ledger.put_many([])
    assert await ledger.get_many([]) == {}
    await ledger.close()


async def test_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(ConfigError, match="another data directory"):
        await Ledger(path).start()


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Rather than overwritten."""
    path = tmp_path / "ledger.sqlite"
    path.write_text("these are notes, and they are long enough to be no database header at all")
    with pytest.raises(ConfigError, match="cannot open the ledger"):
        await Ledger(path).start()


async def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file is where the folder should be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="cannot make"):
        await Ledger(tmp_path / "data" / "ledger.sqlite").start()


async def test_damaged_outcome_is_an_error(tmp_path: Path) -> None:
    """It is neither a miss nor a number."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.start()
    await ledger.put_many([entry("a")])
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    connection.execute("UPDATE outcomes SET metrics = '{}'")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="damaged"):
        await ledger.get_many(["a"])
    await ledger.close()


async def test_closed_ledger_is_an_error() -> None:
    """Using it before it is started is one as well."""
    with pytest.raises(LedgerError):
        await Ledger(Path("nowhere")).get_many(["a"])


async def test_rows_can_be_read_by_people(tmp_path: Path) -> None:
    """Signals and decisions stand there as text, whatever the key."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    await ledger.start()
    decisions = (("A0", Extend(extend=False)), ("A1", NextPhase(next_phase=2, green_s=20)))
    joint = RolloutTask(GRID, ("A0", "A1"), decisions, 60)
    reference = RolloutTask(GRID, ("A0", "A1"), (), 60)
    rows = [
        Entry(key, task, make_metrics(1), "sumo") for key, task in (("a", joint), ("b", reference))
    ]
    await ledger.put_many(rows)
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT tls_id, decision FROM outcomes ORDER BY key").fetchall()
    assert [tls_id for tls_id, _ in found] == ["A0,A1", "A0,A1"]
    assert json.loads(found[0][1]) == {
        "A0": {"kind": "extend", "extend": False},
        "A1": {"kind": "phase", "next_phase": 2, "green_s": 20},
    }
    assert found[1][1] is None
