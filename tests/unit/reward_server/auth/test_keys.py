"""API keys: their form, their digests, and the table that they are kept in."""

import logging
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from reward_server.auth.exposure import refuse_exposure
from reward_server.auth.key_store import KeyStore
from reward_server.auth.keys import digest_of, is_same, key_id_of, make_key
from reward_server.settings import load_settings
from reward_server.storage.database import Database
from reward_server.storage.urls import sqlite_url
from shared.errors import ConfigError, LedgerError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    opened = Database(sqlite_url(tmp_path / "ledger.sqlite"))
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> KeyStore:
    """A store whose clock stands at 1000 s."""
    return KeyStore(database, clock=lambda: 1000.0)


def test_keys_differ_and_name_themselves() -> None:
    """Two keys have nothing in common but their form."""
    one, other = make_key(), make_key()
    assert one.secret != other.secret
    assert one.key_id != other.key_id
    assert key_id_of(one.secret) == one.key_id
    assert len(one.secret) == len("gfk__") + 12 + 43


def test_new_key_does_not_show_in_logs() -> None:
    """Not by its repr."""
    key = make_key()
    assert key.secret not in repr(key)
    assert key.secret not in f"{key}"


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    """Whatever is sent, it has the form of a key or it names none."""
    found = key_id_of(text)
    assert found is None or text.startswith(f"gfk_{found}_")


def test_key_of_another_length_is_none() -> None:
    """A key with something before or behind it is another text."""
    secret = make_key().secret
    for text in (secret[:-1], secret + "x", secret + "\n", " " + secret, secret.upper()):
        assert key_id_of(text) is None


def test_only_the_whole_key_is_the_same() -> None:
    """No prefix, no longer text, no other case."""
    secret = make_key().secret
    digest = digest_of(secret)
    assert is_same(secret, digest)
    for text in ("", secret[:-1], secret + "x", secret.swapcase(), digest):
        assert not is_same(text, digest)


def test_text_that_is_no_unicode_has_a_digest() -> None:
    """A header may hold anything."""
    assert len(digest_of("\udcff")) == 64


async def test_key_is_found_without_being_kept(store: KeyStore, tmp_path: Path) -> None:
    """Only its digest is in the database's files."""
    key = await store.create("ann", ["upload", "score"], 2.5)
    found = await store.find(key.key_id)
    assert found is not None
    assert (found.name, found.weight) == ("ann", 2.5)
    assert sorted(found.scopes) == ["score", "upload"]
    assert (found.digest, found.created_at) == (digest_of(key.secret), 1000.0)
    files = _content(tmp_path)
    assert found.digest.encode() in files
    assert key.secret[-20:].encode() not in files


async def test_name_is_taken_for_ever(store: KeyStore) -> None:
    """Also by a revoked key: the log and the shares know callers by name."""
    await store.create("ann", ["score"])
    await store.revoke("ann")
    with pytest.raises(ConfigError, match="another name") as refused:
        await store.create("ann", ["score"])
    assert refused.value.code == "name_taken"


@pytest.mark.parametrize(
    ("name", "scopes", "weight"),
    [
        ("", ["score"], 1),
        ("a b", ["score"], 1),
        ("ann/jobs", ["score"], 1),
        ("x" * 65, ["score"], 1),
        ("operator", ["score"], 1),
        ("anyone", ["score"], 1),
        ("ann", [], 1),
        ("ann", ["score", "fly"], 1),
        ("ann", ["score"], 0),
        ("ann", ["score"], -1),
        ("ann", ["score"], float("nan")),
        ("ann", ["score"], float("inf")),
    ],
)
async def test_impossible_key_is_refused(
    store: KeyStore, name: str, scopes: Iterable[str], weight: float
) -> None:
    """And nothing is written."""
    with pytest.raises(ConfigError):
        await store.create(name, scopes, weight)
    assert await store.keys() == ()


async def test_revoked_key_is_not_found(store: KeyStore) -> None:
    """It stays on the list; revoking it again says so."""
    key = await store.create("ann", ["score"])
    assert await store.revoke("ann")
    assert not await store.revoke("ann")
    assert await store.find(key.key_id) is None
    assert [one.revoked_at for one in await store.keys()] == [1000.0]


async def test_unknown_key_cannot_be_revoked(store: KeyStore) -> None:
    """A typo must not look like success."""
    with pytest.raises(ConfigError) as refused:
        await store.revoke("zoe")
    assert refused.value.code == "unknown_key"


async def test_revoking_the_last_key_opens_nothing(store: KeyStore) -> None:
    """Once there was a key, one is needed."""
    assert not await store.has_any()
    await store.create("ann", ["score"])
    await store.revoke("ann")
    assert await store.has_any()


async def test_closed_database_is_an_error(tmp_path: Path) -> None:
    """And neither "no such key" nor "no keys at all"."""
    store = KeyStore(Database(sqlite_url(tmp_path / "ledger.sqlite")))
    with pytest.raises(LedgerError):
        await store.find("x")
    with pytest.raises(LedgerError):
        await store.has_any()


async def test_no_key_reaches_a_log(store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    """Neither structlog's nor the drivers' own, at any level."""
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        key = await store.create("ann", ["score"])
        with pytest.raises(ConfigError) as refused:
            await store.create("ann", ["score"])
        await store.find(key.key_id)
    for said in (caplog.text, str(logs), str(refused.value), repr(refused.value)):
        assert key.secret not in said
        assert key.secret[-43:] not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gateway.example"])
async def test_open_host_needs_a_key(host: str, tmp_path: Path) -> None:
    """In the settings, in the database, or the word that something else keeps strangers out."""
    given: dict[str, object] = {"host": host, "data_dir": tmp_path / "data"}
    with pytest.raises(ConfigError, match="allow-keyless"):
        await refuse_exposure(load_settings(given))
    assert not (tmp_path / "data").exists(), "to look for keys must not make a database"
    await refuse_exposure(load_settings(given | {"api_key": "k"}))
    await refuse_exposure(load_settings(given | {"allow_keyless": True}))
    database = Database(load_settings(given).database())
    await database.start()
    with pytest.raises(ConfigError, match="allow-keyless"):
        await refuse_exposure(load_settings(given))
    await KeyStore(database).create("ann", ["score"])
    await database.close()
    await refuse_exposure(load_settings(given))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
async def test_loopback_needs_none(host: str, tmp_path: Path) -> None:
    """Nobody else reaches it."""
    await refuse_exposure(load_settings({"host": host, "data_dir": tmp_path / "data"}))


def _content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
