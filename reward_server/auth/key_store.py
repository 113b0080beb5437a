"""Creates, lists, revokes and looks up the API keys in the database."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Row, select, update

from reward_server.auth.callers import ANYONE, OPERATOR_NAME, SCOPES, Scope
from reward_server.auth.keys import ApiKey, NewKey, digest_of, make_key
from reward_server.storage.database import Database
from reward_server.storage.tables import API_KEYS
from shared.errors import ConfigError

__all__ = ["KeyStore"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = (ANYONE.name, OPERATOR_NAME)
_MAX_WEIGHT = 1000.0


class KeyStore:
    """API keys on record. None is ever removed: a revoked key keeps its name and its id.

    Args:
        database: Already started; closed by whoever started it.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str, scopes: Iterable[str], weight: float = 1.0) -> NewKey:
        """Creates a key. It is not stored: the returned key is the only copy.

        Args:
            name: Letters, digits, ``.``, ``_`` and ``-``, at most 64.
            scopes: At least one.
            weight: Share of the workers relative to other callers, above 0 and at most 1000.

        Raises:
            ConfigError: ``name_taken``, or an argument is invalid.
            LedgerError: The database failed.
        """
        chosen = _checked(name, scopes, weight)
        key = make_key()
        insert = self._database.insert_new(API_KEYS).values(
            key_id=key.key_id,
            name=name,
            digest=digest_of(key.secret),
            scopes=" ".join(sorted(chosen)),
            weight=weight,
            created_at=self._clock(),
        )
        new_id = insert.returning(API_KEYS.c.key_id)  # PostgreSQL's driver counts no rows here
        async with self._database.begin() as connection:
            is_new = await connection.scalar(new_id) is not None
        if not is_new:
            raise ConfigError(
                f"a key named {name!r} exists or existed; choose another name", "name_taken"
            )
        return key

    async def keys(self) -> tuple[ApiKey, ...]:
        """All keys, including revoked ones, in the order of creation.

        Raises:
            LedgerError: The database failed.
        """
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.name)
        return tuple(_key(row) for row in await self._database.rows(query))

    async def revoke(self, name: str) -> bool:
        """Revokes a key; False if it had been revoked before.

        Raises:
            ConfigError: ``unknown_key``.
            LedgerError: The database failed.
        """
        named = API_KEYS.c.name == name
        change = update(API_KEYS).where(named, API_KEYS.c.revoked_at.is_(None))
        async with self._database.begin() as connection:
            done = await connection.execute(change.values(revoked_at=self._clock()))
            if done.rowcount == 1:
                return True
            known = await connection.scalar(select(API_KEYS.c.name).where(named))
        if known is None:
            raise ConfigError(f"there is no key named {name!r}", "unknown_key")
        return False

    async def find(self, key_id: str) -> ApiKey | None:
        """The key with this id, if it is valid.

        Raises:
            LedgerError: The database failed.
        """
        query = select(API_KEYS).where(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_at.is_(None))
        rows = await self._database.rows(query)
        return _key(rows[0]) if rows else None

    async def has_any(self) -> bool:
        """Whether there is a key, or ever was one.

        Revoked keys count: revoking the last key must not let everybody in.

        Raises:
            LedgerError: The database failed.
        """
        return await self._database.scalar(select(API_KEYS.c.key_id).limit(1)) is not None


def _checked(name: str, scopes: Iterable[str], weight: float) -> frozenset[Scope]:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a valid key name: use up to 64 letters, digits, '.', '_' and '-'"
        )
    if name in _RESERVED:
        raise ConfigError(f"{name!r} cannot name a key: the service reserves it")
    if not 0 < weight <= _MAX_WEIGHT:
        raise ConfigError(f"weight: {weight:g} must be above 0 and at most {_MAX_WEIGHT:g}")
    given = frozenset(scopes)
    unknown = sorted(given - SCOPES)
    if unknown or not given:
        what = f"unknown {', '.join(unknown)}" if unknown else "a key needs at least one"
        raise ConfigError(f"scope: {what}; available: {', '.join(sorted(SCOPES))}")
    return frozenset(scope for scope in SCOPES if scope in given)


def _key(row: Row[Any]) -> ApiKey:
    known = row.scopes.split()
    scopes = frozenset(scope for scope in SCOPES if scope in known)
    return ApiKey(**row._asdict() | {"scopes": scopes})
