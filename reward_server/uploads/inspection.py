"""The gateway's side of inspecting an upload: starts the process, waits, and ends it in time."""

import asyncio
import signal

import structlog
from pydantic import ValidationError

from reward_server import processes
from shared.errors import InvalidRequest
from sim_workers.sandbox.confinement import environment, python_command
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest

__all__ = ["look_at"]

_LOG = structlog.get_logger(__name__)
_COMMAND = ("-m", "sim_workers.sandbox.isolation", "sim_workers.uploads.inspector")


async def look_at(request: IntakeRequest, timeout_s: float) -> IntakeAnswer:
    """The result of inspecting an upload: always the manifest or the record, never the error.

    Raises:
        InvalidRequest: It is refused; the code says why. ``too_much_work``: the inspection took
            more than ``timeout_s`` seconds, or its process died, for example of memory.
    """
    process = await asyncio.create_subprocess_exec(
        *python_command(*_COMMAND),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, _ = await process.communicate(request.model_dump_json().encode())
    except TimeoutError as exc:
        words = f"the upload could not be inspected within {timeout_s:g} s"
        raise InvalidRequest(words, "too_much_work") from exc
    finally:
        await processes.end(process)
    try:
        answer = IntakeAnswer.model_validate_json(said)
    except ValidationError as exc:
        _LOG.warning("intake_died", status=process.returncode)
        words = (
            f"the process that inspected the upload ended {_ending(process.returncode)}; the "
            "upload probably takes too much memory or makes SUMO fail"
        )
        raise InvalidRequest(words, "too_much_work") from exc
    if answer.error is not None:
        raise InvalidRequest(answer.error.message, answer.error.code)
    return answer


def _ending(status: int | None) -> str:
    """How a process ended, in words."""
    if status is not None and status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"with status {status}"
