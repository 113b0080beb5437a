"""The boundary of a simulation process: whatever goes wrong in it becomes a reply."""

from collections.abc import Callable

from shared.errors import GreenforkError, OutOfMemory, RolloutError, RolloutRejected
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.fork_memory import own_bytes
from sim_workers.engine.messages import Failed, Reply
from sim_workers.engine.simulation import SUMO_ERRORS
from sim_workers.sandbox.isolation import use_memory_reserve

__all__ = ["encode", "reply_of"]


def reply_of(work: Callable[[], Reply]) -> bytes:
    """The result of some work, or the failure that it raises, encoded for sending."""
    error: GreenforkError
    try:
        return encode(work())
    except Exception as exc:  # noqa: BLE001  a boundary
        error = _classified(exc)
    return encode(Failed(error=ErrorInfo.of(error)))


def encode(reply: Reply) -> bytes:
    """A reply, encoded for sending."""
    return reply.model_dump_json().encode()


def _classified(exc: Exception) -> GreenforkError:
    if any(isinstance(e, MemoryError) or "bad_alloc" in str(e) for e in (exc, exc.__cause__)):
        use_memory_reserve()
        words = f"the simulation exceeds its memory limit of {own_bytes() >> 20} MiB"
        return OutOfMemory(words)
    if isinstance(exc, GreenforkError):
        return exc
    if isinstance(exc, SUMO_ERRORS):
        return RolloutRejected(f"SUMO refused: {exc}")
    return RolloutError(f"{type(exc).__name__}: {exc}")
