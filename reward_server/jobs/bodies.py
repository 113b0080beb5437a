"""Bodies of jobs: written to disk as they arrive, and converted into one format.

The files have no names, so that nothing is left of them however the process ends.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterable
from functools import partial
from pathlib import Path
from typing import IO

from reward_server import processes
from shared.errors import InvalidRequest, LedgerError
from shared.files import os_errors

__all__ = ["REFUSED", "Bodies", "disk_errors"]

REFUSED = 3
"""Exit status of the conversion if the file is not a table of items."""

_BUFFER_BYTES = 2**20
_CONVERTING_S = 600.0


class Bodies:
    """A folder for bodies.

    Args:
        folder: Created if it is missing.
        max_bytes: Maximum size of an unpacked body.
        max_items: Maximum number of rows in a table.
    """

    def __init__(self, folder: Path, max_bytes: int, max_items: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_items = max_items

    def scratch(self) -> IO[bytes]:
        """An empty file.

        Raises:
            LedgerError: It cannot be created.
        """
        with disk_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._folder)

    async def keep(self, chunks: AsyncIterable[bytes], file: IO[bytes]) -> None:
        """Writes a body to a file as it arrives.

        Raises:
            LedgerError: The disk is full.
        """
        buffer = bytearray()
        with disk_errors():
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= _BUFFER_BYTES:
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(file.write, bytes(buffer))
            file.flush()
        file.seek(0)

    async def convert_parquet(self, source: IO[bytes], lines: IO[bytes]) -> None:
        """Writes the rows of a Parquet file to another one, as JSON lines.

        Raises:
            InvalidRequest: It is not a table of items, or is too large.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "reward_server.jobs.parquet_rows"),
            *(str(self._max_items), str(self._max_bytes)),
            stdin=source,
            stdout=lines,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_CONVERTING_S):
                _, said = await process.communicate()
        except TimeoutError as exc:
            raise InvalidRequest("the Parquet file takes too long to read") from exc
        finally:
            await processes.end(process)
        if process.returncode:
            raise _refusal(process.returncode, said)
        lines.seek(0)


disk_errors = partial(os_errors, LedgerError, "the job cannot be stored")
"""Turns disk errors while storing a body into one of our errors."""


def _refusal(status: int, said: bytes) -> InvalidRequest:
    if status != REFUSED:  # killed, or out of memory where Python could not say so any more
        return InvalidRequest(
            "the Parquet file cannot be read, or reading it needs too much memory"
        )
    reason: dict[str, str] = json.loads(said.splitlines()[-1])
    return InvalidRequest(reason["message"], reason["code"])
