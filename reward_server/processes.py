"""Processes that the gateway starts for work that it does not do itself."""

import contextlib
from asyncio.subprocess import Process

__all__ = ["end"]


async def end(process: Process) -> None:
    """Kills a process if it is still running, and waits until it is gone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
