"""Bodies of jobs: kept on disk as they come, and brought into one form.

The files have no names, so that nothing is left of them whatever becomes of the process.
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
"""Exit status of the conversion where the file is no table of items."""

_BUFFER_BYTES = 2**20
_CONVERTING_S = 600.0


class Bodies:
    """A folder for bodies.

    Args:
        folder: Made where it is missing.
        max_bytes: How large a body may be when it is unpacked.
        max_items: How many rows a table may have.
    """

    def __init__(self, folder: Path, max_bytes: int, max_items: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_items = max_items

    def scratch(self) -> IO[bytes]:
        """An empty file.

        Raises:
            LedgerError: It cannot be made.
        """
        with disk_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._folder)

    async def keep(self, chunks: AsyncIterable[bytes], file: IO[bytes]) -> None:
        """Writes a body to a file as it comes.

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
            InvalidRequest: It is no table of items, or too large.
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
"""Turns the errors of a disk that does not take a body into one of ours."""


def _refusal(status: int, said: bytes) -> InvalidRequest:
    if status != REFUSED:  # killed, or out of memory where Python could not say so any more
        return InvalidRequest(
            "the Parquet file cannot be read, or reading it needs too much memory"
        )
    reason: dict[str, str] = json.loads(said.splitlines()[-1])
    return InvalidRequest(reason["message"], reason["code"])
