"""Reading a ledger while gateways write to it, without changing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, func, inspect
from sqlalchemy.exc import SQLAlchemyError

from reward_server.storage.schema import check_revision
from reward_server.storage.tables import OUTCOMES
from reward_server.storage.urls import display_name, failure_reason, file_of
from shared.errors import ConfigError, LedgerError

__all__ = ["Selection", "open_to_read"]


@dataclass(frozen=True)
class Selection:
    """A selection of outcomes; by default all of them."""

    scenario: str | None = None
    """The name before the last ``@`` of a state's id."""
    state_id: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL conditions for the selected outcomes."""
        found: list[ColumnElement[bool]] = []
        if self.state_id is not None:
            found.append(OUTCOMES.c.state_id == self.state_id)
        if self.scenario is not None:
            prefix = f"{self.scenario}@"
            # Not LIKE, which ignores case in one kind of database and not in the other.
            found.append(func.substr(OUTCOMES.c.state_id, 1, len(prefix)) == prefix)
            found.append(~func.substr(OUTCOMES.c.state_id, len(prefix) + 1).contains("@"))
        return found


@contextmanager
def open_to_read(url: URL) -> Iterator[Connection]:
    """A connection that sees the ledger as it is now, whatever is recorded later.

    Raises:
        ConfigError: There is no ledger, or it was written by a newer release.
        LedgerError: The ledger cannot be read.
    """
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            check_revision(connection)
            if not inspect(connection).has_table(OUTCOMES.name):
                raise ConfigError(_missing(url))
            yield connection
    except SQLAlchemyError as exc:
        reason = failure_reason(exc, url)
        raise LedgerError(f"cannot read the database {display_name(url)}: {reason}") from exc
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    path = file_of(url)
    if path is None:
        engine = create_engine(url, hide_parameters=True, isolation_level="REPEATABLE READ")
        return engine.execution_options(postgresql_readonly=True)
    if not path.is_file():
        raise ConfigError(_missing(url))
    read_only = URL.create(
        "sqlite", database=f"{path.absolute().as_uri()}", query={"mode": "ro", "uri": "true"}
    )
    return create_engine(read_only, hide_parameters=True, connect_args={"timeout": 10})


def _missing(url: URL) -> str:
    return f"there is no ledger in {display_name(url)}: pass --data-dir or --database-url"
