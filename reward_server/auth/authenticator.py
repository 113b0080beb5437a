"""Resolves API keys to callers, with a cache of a few seconds."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog
from pydantic import SecretStr

from reward_server.auth.callers import ANYONE, OPERATOR_NAME, SCOPES, Caller
from reward_server.auth.closure import Closure
from reward_server.auth.keys import ApiKey, digest_of, is_same, key_id_of
from shared.errors import Unauthorized

__all__ = ["ApiKeyAuthenticator", "KeyRecords"]

_OPERATOR = Caller(OPERATOR_NAME, SCOPES)
_NOBODY = digest_of("")
"""The digest to compare with if no key has the given id; no key of the right form has it."""
_Found = TypeVar("_Found")
_LOG = structlog.get_logger("reward_server")


class KeyRecords(Protocol):
    """The keys on record; :class:`reward_server.auth.key_store.KeyStore` is one."""

    async def find(self, key_id: str) -> ApiKey | None:
        """The valid key of that id."""

    async def has_any(self) -> bool:
        """Whether there is a key, or ever was one."""


class ApiKeyAuthenticator:
    """Identifies a caller by its API key.

    Args:
        records: Where keys are looked up.
        operator_key: A key with every scope that is not on record: ``GREENFORK_SERVER_API_KEY``.
        closure: Remembers outside the database that there was a key; None relies on the records.
        remember_s: Seconds for which a look-up is valid; a revoked key is refused after that.
        max_remembered: Number of keys to remember, and of ids without a key.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self,
        records: KeyRecords,
        operator_key: SecretStr | None,
        closure: Closure | None = None,
        remember_s: float = 5.0,
        max_remembered: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._operator = (
            None if operator_key is None else digest_of(operator_key.get_secret_value())
        )
        self._found: _Memory[ApiKey | None] = _Memory(remember_s, max_remembered, clock)
        self._has_keys: _Memory[bool] = _Memory(remember_s, 1, clock)
        self._closure = closure
        self._is_locked = operator_key is not None or (closure is not None and closure.is_set())

    async def admit(self, given: str | None) -> Caller:
        """The caller who sends this key.

        Args:
            given: What was sent as a bearer token; None if nothing was.

        Raises:
            Unauthorized: A key is needed, and this is not a valid one.
            LedgerError: The key cannot be looked up.
        """
        if not await self.needs_key():
            return ANYONE
        caller = None if given is None else await self._holder(given)
        if caller is None:
            raise Unauthorized("send an API key as a bearer token: `Authorization: Bearer <key>`")
        return caller

    async def needs_key(self) -> bool:
        """Whether there is any key, so that callers must send one.

        Once true, this stays true.

        Raises:
            LedgerError: The keys cannot be looked up.
        """
        if not self._is_locked:
            self._is_locked = await self._has_keys.get("", self._any)
            if self._is_locked:
                self._remember()
        return self._is_locked

    async def has_lost_keys(self) -> bool:
        """Whether the service once had keys, although its database has never had any.

        Raises:
            LedgerError: The keys cannot be looked up.
        """
        was_closed = self._closure is not None and self._closure.is_set()
        return was_closed and self._operator is None and not await self._records.has_any()

    async def _holder(self, given: str) -> Caller | None:
        if self._operator is not None and is_same(given, self._operator):
            return _OPERATOR
        key_id = key_id_of(given)
        if key_id is None:
            return None
        key = await self._found.get(key_id, self._records.find)
        is_right = is_same(given, _NOBODY if key is None else key.digest)
        return key.caller() if key is not None and is_right else None

    def _remember(self) -> None:
        if self._closure is None:
            return
        try:
            self._closure.set()
        except OSError as exc:  # a full disk must not let anybody in, or keep anybody out
            _LOG.warning("closure_not_remembered", path=str(self._closure.path), reason=str(exc))

    async def _any(self, _: str) -> bool:
        return await self._records.has_any()


class _Memory(Generic[_Found]):
    """Remembers for a few seconds which keys were found and, separately, which ids have none.

    Trying many keys thus makes it forget other failed attempts, but no existing key.
    """

    def __init__(self, remember_s: float, limit: int, clock: Callable[[], float]) -> None:
        self._remember_s = remember_s
        self._limit = limit
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, _Found]] = OrderedDict()
        self._missing: OrderedDict[str, tuple[float, _Found]] = OrderedDict()

    async def get(self, key: str, find: Callable[[str], Awaitable[_Found]]) -> _Found:
        """The remembered result, or a new look-up. A failed look-up is not remembered."""
        asked_s = self._clock()
        for memory in (self._known, self._missing):
            known = memory.get(key)
            if known is not None and asked_s - known[0] < self._remember_s:
                memory.move_to_end(key)
                return known[1]
        found = await find(key)
        self._put(key, asked_s, found)  # as of the question: it may be old when it is answered
        return found

    def _put(self, key: str, asked_s: float, found: _Found) -> None:
        self._known.pop(key, None)
        self._missing.pop(key, None)
        memory = self._known if found else self._missing
        memory[key] = (asked_s, found)
        while len(memory) > self._limit:
            memory.popitem(last=False)
