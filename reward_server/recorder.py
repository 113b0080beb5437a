"""Writing outcomes down in batches: whatever comes while one batch is written makes the next."""

import asyncio
from dataclasses import dataclass

from reward_server.storage.ledger import Entry, Ledger
from shared.errors import LedgerError

__all__ = ["Recorder"]


@dataclass(frozen=True)
class _Waiting:
    entry: Entry
    written: asyncio.Future[None]


class Recorder:
    """Puts outcomes into a ledger, one transaction at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, entry: Entry) -> None:
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
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._write(batch)

    async def _write(self, batch: list[_Waiting]) -> None:
        error: LedgerError | None = None
        try:
            await self._ledger.put_many([waiting.entry for waiting in batch])
        except LedgerError as exc:
            error = exc
        for waiting in batch:
            if waiting.written.done():
                continue
            if error is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(error)
