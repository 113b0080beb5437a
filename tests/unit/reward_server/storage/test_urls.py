"""Which databases can be named."""

from pathlib import Path

import pytest

from reward_server.settings import load_settings
from reward_server.storage.urls import display_name, parse_database_url, sqlite_url
from shared.errors import ConfigError


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_postgresql_leads_to_one_driver(scheme: str) -> None:
    """Hosting services spell it in several ways."""
    url = parse_database_url(
        f"{scheme}://ann:secret@db:5433/rewards?sslmode=require&connect_timeout=9"
    )
    assert url.drivername == "postgresql+psycopg"
    assert (url.password, url.port, url.query["sslmode"]) == ("secret", 5433, "require")
    assert url.query["connect_timeout"] == "9", "what is given stands"
    assert int(str(url.query["tcp_user_timeout"])) > 0, "the rest is as it should be"


def test_file_can_be_named() -> None:
    """With three slashes relative, with four from the root."""
    assert parse_database_url("sqlite:///a/b.sqlite") == sqlite_url(Path("a/b.sqlite"))
    assert parse_database_url("sqlite:////a/b.sqlite") == sqlite_url(Path("/a/b.sqlite"))


@pytest.mark.parametrize(
    "text",
    [
        "hush",
        "mysql://ann:hush@db/rewards",
        "postgresql+asyncpg://ann:hush@db/rewards",
        "postgresql://ann:hush@db",
        "postgresql://ann:hush@db:port/rewards",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.sqlite?mode=hush",
    ],
)
def test_anything_else_is_refused_without_its_secrets(text: str) -> None:
    """The message says what can be given, and names the setting where it is one."""
    with pytest.raises(ConfigError, match="sqlite:///FILE") as caught:
        parse_database_url(text)
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match="GREENFORK_SERVER_DATABASE_URL") as refused:
        load_settings({"database_url": text})
    assert "hush" not in f"{refused.value} {refused.value.__cause__!r} {refused.value.__cause__}"


def test_names_for_messages_hold_no_secret() -> None:
    """Neither user nor options, where passwords may be as well."""
    url = parse_database_url("postgresql://ann:hush@/rewards?host=/run/pg&password=hush")
    assert display_name(url) == "rewards at a local socket"
    assert display_name(sqlite_url(Path("a.sqlite"))) == "a.sqlite"


def test_database_is_in_the_data_directory_unless_one_is_named(tmp_path: Path) -> None:
    """The setting wins, and does not show."""
    assert load_settings({"data_dir": tmp_path}).database() == sqlite_url(
        tmp_path / "ledger.sqlite"
    )
    chosen = load_settings({"database_url": "postgres://ann:hush@db/rewards"})
    assert chosen.database().render_as_string(hide_password=False).startswith("postgresql+psycopg")
    assert "hush" not in repr(chosen)
