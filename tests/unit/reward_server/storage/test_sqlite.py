"""What is asked of a SQLite file that others open at the same moment."""

import sqlite3
from typing import cast

import pytest
from sqlalchemy.engine.interfaces import DBAPICursor

from reward_server.storage import sqlite


class BusyCursor:
    """Refuses a statement so often, as SQLite does while another process switches the file."""

    def __init__(self, times: int, errorcode: int = sqlite3.SQLITE_BUSY) -> None:
        self.left = times
        self.asked = 0
        self._errorcode = errorcode

    def execute(self, statement: str) -> None:
        """Takes nothing but the switch."""
        assert statement == "PRAGMA journal_mode=WAL"
        self.asked += 1
        if self.left:
            self.left -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self._errorcode
            raise error


def use_wal(cursor: BusyCursor) -> None:
    """Switches."""
    sqlite._use_wal(cast("DBAPICursor", cursor))


def test_waits_for_another_that_switches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own busy timeout does not cover this."""
    monkeypatch.setattr("reward_server.storage.sqlite.time.sleep", lambda _: None)
    cursor = BusyCursor(times=2)
    use_wal(cursor)
    assert cursor.asked == 3


def test_gives_up_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With SQLite's reason."""
    clock = iter([0.0, 1.0, 60.0])
    monkeypatch.setattr("reward_server.storage.sqlite.time.sleep", lambda _: None)
    monkeypatch.setattr("reward_server.storage.sqlite.time.monotonic", lambda: next(clock))
    cursor = BusyCursor(times=99)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(cursor)
    assert cursor.asked == 2


def test_other_failures_are_not_tried_again() -> None:
    """They would be the same the next time."""
    cursor = BusyCursor(times=1, errorcode=sqlite3.SQLITE_IOERR)
    with pytest.raises(sqlite3.OperationalError):
        use_wal(cursor)
    assert cursor.asked == 1
