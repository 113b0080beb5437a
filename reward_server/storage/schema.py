"""Migrates a database to the tables of this release, or refuses one that it does not know.

Everything happens in one transaction that only one process at a time can hold: gateways that start
together wait for each other, and if a step fails, the database is unchanged.
"""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from shared.errors import ConfigError

__all__ = ["check_revision", "migrate"]

_SCRIPTS = Path(__file__).with_name("migrations")
_RELEASED = "0001"
"""The revision of ledgers of release 0.1, which had no revisions, only a ``user_version``."""
_RELEASED_VERSION = 1
_ADVISORY_LOCK = 0x677265656E666F72
"""An arbitrary number that nobody else uses: ``greenfor`` in ASCII."""
_ALEMBIC = threading.Lock()
"""Alembic keeps its context in globals."""


def migrate(connection: Connection) -> None:
    """Migrates a database to the newest revision.

    Args:
        connection: A connection in a transaction; in SQLite, one begun for writing.

    Raises:
        ConfigError: The database is from a newer release, or is not Greenfork's.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
    config = _config()
    config.attributes["connection"] = connection
    with _ALEMBIC:
        if _is_released_ledger(connection):
            command.stamp(config, _RELEASED)
        check_revision(connection)
        command.upgrade(config, "head")


def check_revision(connection: Connection) -> None:
    """Refuses a database that was written by a newer release.

    Raises:
        ConfigError: The database was written by a newer release.
    """
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise ConfigError(
                f"the database has revision {revision}, but this release knows none after "
                f"{max(known)}: use the newer release that wrote it, or choose another database"
            )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _is_released_ledger(connection: Connection) -> bool:
    """Whether this is a ledger from before there were revisions.

    Raises:
        ConfigError: The database contains something else.
    """
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        return False
    is_sqlite = connection.dialect.name == "sqlite"
    version = connection.scalar(text("PRAGMA user_version")) if is_sqlite else 0
    has_outcomes = tables.has_table("outcomes")
    if version not in (0, _RELEASED_VERSION) or (has_outcomes and version == 0):
        raise ConfigError(
            "the database contains tables that Greenfork did not create: choose another data "
            "directory or another database"
        )
    return has_outcomes
