"""Writing outcomes down in batches: whatever comes while one batch is written makes the next."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from reward_server.storage.ledger import Ledger, LedgerEntry
from shared.errors import LedgerError

__all__ = ["Recorder"]


@dataclass(frozen=True)
class _Waiting:
    entry: LedgerEntry
    written: asyncio.Future[None]


class Recorder:
    """Puts outcomes into a ledger, one transaction at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, entry: LedgerEntry) -> None:
        """Returns when the outcome is on record.

        Raises:
            LedgerError: It could not be written.
        """
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await waiting.written

    async def close(self) -> None:
        """Returns when all is written."""
        if self._writing is not None:
            await self._writing

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            _tell(self._waiting, _BROKEN_OFF)
            self._waiting = []

    async def _write(self, batch: list[_Waiting]) -> None:
        error: LedgerError | None = _BROKEN_OFF
        try:
            await self._ledger.put_many([waiting.entry for waiting in batch])
            error = None
        except LedgerError as exc:
            error = exc
        finally:
            _tell(batch, error)


_BROKEN_OFF = LedgerError("the recording was cancelled")


def _tell(batch: Iterable[_Waiting], error: LedgerError | None) -> None:
    for waiting in batch:
        if waiting.written.done():
            continue
        if error is None:
            waiting.written.set_result(None)
        else:
            waiting.written.set_exception(LedgerError(error.message, error.code))
