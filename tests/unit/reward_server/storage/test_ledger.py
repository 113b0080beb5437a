"""The ledger on its own, in a file."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import sqlite_url
from shared.decisions import Decision, Extend, NextPhase
from shared.errors import LedgerError
from sim_workers.pool.rollout import make_rollout
from tests.unit.reward_server.world import (
    make_grid,
    make_metrics,
    opened_ledger,
    outcome,
    record_all,
)


async def test_outcomes_survive_reopening_to_the_last_bit(tmp_path: Path) -> None:
    """Floats come back as they were, with the series."""
    path = tmp_path / "new" / "ledger.sqlite"
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await record_all(ledger, [outcome("a", 0.1 + 0.2)])
    async with opened_ledger(f"sqlite:///{path}") as reopened:
        assert await reopened.get_many(["a", "b"]) == {"a": make_metrics(0.1 + 0.2)}


async def test_damaged_outcome_is_an_error_to_those_who_ask_for_it(tmp_path: Path) -> None:
    """It is neither a miss nor a number, and no harm to others."""
    path = tmp_path / "ledger.sqlite"
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await record_all(ledger, [outcome("a"), outcome("b")])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE outcomes SET metrics = '{}' WHERE key = 'a'")
        with pytest.raises(LedgerError, match="damaged"):
            await ledger.get_many(["a", "b"])
        assert list(await ledger.get_many(["b"])) == ["b"]


async def test_closed_ledger_is_an_error() -> None:
    """Using it before its database is opened is one as well."""
    with pytest.raises(LedgerError, match="not open"):
        await Ledger(Database(sqlite_url(Path("nowhere")))).get_many(["a"])


async def test_rows_can_be_read_by_people(tmp_path: Path) -> None:
    """Signals and decisions stand there as text, whatever the key."""
    path = tmp_path / "ledger.sqlite"
    decisions: dict[str, Decision] = {
        "A1": NextPhase(next_phase=2, green_s=20),
        "A0": Extend(extend=False),
    }
    joint = make_rollout(make_grid(), decisions, 60)
    reference = make_rollout(make_grid(), dict.fromkeys(decisions), 60)
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await ledger.record("a", joint, make_metrics(1), "sumo")
        await ledger.record("b", reference, make_metrics(1), "sumo")
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT tls_id, decision FROM outcomes ORDER BY key").fetchall()
    assert [tls_id for tls_id, _ in found] == ["A0,A1", "A0,A1"]
    assert json.loads(found[0][1]) == {
        "A0": {"kind": "extend", "extend": False},
        "A1": {"kind": "phase", "next_phase": 2, "green_s": 20},
    }
    assert found[1][1] is None
