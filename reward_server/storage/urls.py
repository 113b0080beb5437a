"""URLs of databases, and how to name databases and their failures without secrets."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from shared.errors import ConfigError

__all__ = ["display_name", "failure_reason", "file_of", "parse_database_url", "sqlite_url"]

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_LIBPQ: dict[str, str] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "greenfork",
}
"""With these, a server that vanishes silently is noticed after fifteen seconds."""

_WAY_OUT = "use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def parse_database_url(text: str) -> URL:
    """The database that a URL names, with the driver used here and its options.

    >>> parse_database_url("postgres://ann@db/rewards").drivername
    'postgresql+psycopg'

    Raises:
        ConfigError: It is not a URL, or names something unusable. The message does not repeat the
            URL, because it may contain a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(f"the database URL cannot be read: {_WAY_OUT}") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigError(f"the database URL names an unsupported kind of database: {_WAY_OUT}")
    if not url.database or url.database == ":memory:":
        raise ConfigError(f"the database URL names no database: {_WAY_OUT}")
    if driver.startswith("sqlite") and url.query:
        raise ConfigError(f"the URL of a SQLite file takes no options: {_WAY_OUT}")
    url = url.set(drivername=driver)
    if driver.startswith("postgresql"):
        url = url.update_query_dict({k: v for k, v in _LIBPQ.items() if k not in url.query})
    return url


def sqlite_url(path: Path) -> URL:
    """The URL of a database in a file."""
    return URL.create("sqlite+aiosqlite", database=str(path))


def file_of(url: URL) -> Path | None:
    """The file of a database; None for one on a server."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def display_name(url: URL) -> str:
    """A database's name for messages: without user, password and options.

    >>> display_name(parse_database_url("postgresql://ann:secret@db:5433/rewards?sslmode=require"))
    'rewards at db:5433'
    """
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    host = f"{url.host}{port}" if url.host else "a local socket"
    return f"{url.database} at {host}"


def failure_reason(error: SQLAlchemyError, url: URL) -> str:
    """What went wrong, on one line, without passwords and without the contents of rows."""
    cause = getattr(error, "orig", None) or error
    said = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    reason = " ".join(said.split())
    for password in (url.password, url.query.get("password")):
        if isinstance(password, str) and password:
            reason = reason.replace(password, "***")
    return reason
