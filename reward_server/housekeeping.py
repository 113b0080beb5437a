"""Periodic work on what the database holds."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import LedgerError

__all__ = ["DAY_S", "keep_house"]

DAY_S = 86400.0
_LOOK_S = 5.0
_SWEEP_EVERY = 12
"""Number of looks between two sweeps."""
_LOG = structlog.get_logger("reward_server")


async def keep_house(look: Callable[[bool], Awaitable[None]], failed: str) -> None:
    """Repeats a piece of work until cancelled; while the database fails, it is tried again.

    Args:
        look: The work. It is told whether to delete what is old as well, which it is asked to do
            once a minute.
        failed: The name of the warning in the log.
    """
    turn = 0
    while True:
        try:
            await look(turn % _SWEEP_EVERY == 0)
            turn += 1
        except LedgerError as exc:
            _LOG.warning(failed, code=exc.code, reason=exc.message)
        await asyncio.sleep(_LOOK_S)
