"""The gateway's side of reading bodies: light ones at once, others by processes of their own."""

import asyncio
import json
import sys

import structlog

from reward_server import processes
from reward_server.event_loop import TimeSlice
from reward_server.http.reading import frames
from reward_server.http.reading.documents import Document, Form, is_light, read_chunk, read_document
from reward_server.http.reading.process import ReadingRequest
from reward_server.http.slots import FairSlots
from shared.errors import InvalidRequest
from shared.wire.scoring import Item, ScoreRequest

__all__ = ["BodyReader"]

_PROCESSES = 2
_PATIENCE_S = 60.0
_COMMAND = ("-m", "reward_server.http.reading.process")
_LOG = structlog.get_logger("reward_server")


class BodyReader:
    """Reads bodies; whatever is in one, the event loop is never held for long.

    Args:
        max_items: How many items one request may hold.
        patience_s: Seconds that reading one body may take.
    """

    def __init__(self, max_items: int, patience_s: float = _PATIENCE_S) -> None:
        self._max_items = max_items
        self._patience_s = patience_s
        self._slots = FairSlots(_PROCESSES)
        self._idle: list[asyncio.subprocess.Process] = []

    async def close(self) -> None:
        """Ends the processes."""
        while self._idle:
            await processes.end(self._idle.pop())

    async def read(self, form: Form, body: bytes, caller: str, extend_s: int = 0) -> Document:
        """The items in a body.

        Args:
            form: Whose protocol it is.
            body: The JSON.
            caller: Who sent it; callers take turns.
            extend_s: Seconds that a *yes* without seconds of its own adds.

        Raises:
            MalformedRequest: It is not JSON.
            InvalidRequest: It is no such request; ``too_many_items``; ``too_large``: it takes too
                much memory, or time.
        """
        if is_light(body):
            return read_document(form, body, extend_s, self._max_items)
        request = ReadingRequest(form=form, extend_s=extend_s, max_items=self._max_items)
        async with self._slots.held(caller):
            return await self._read_elsewhere(request, body)

    async def _read_elsewhere(self, request: ReadingRequest, body: bytes) -> Document:
        process = await self._process()
        try:
            async with asyncio.timeout(self._patience_s):
                document = await _ask(process, request, body)
        except TimeoutError as exc:
            await processes.end(process)
            words = (
                f"the body could not be read within {self._patience_s:g} s; send fewer items "
                "per request"
            )
            raise InvalidRequest(words, "too_large") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            await processes.end(process)
            _LOG.warning("reader_died", status=process.returncode)
            words = "reading the body takes too much memory; send fewer items per request"
            raise InvalidRequest(words, "too_large") from exc
        except InvalidRequest:
            self._idle.append(process)
            raise
        except BaseException:  # the caller has gone: nobody reads what is still said
            await processes.end(process)
            raise
        self._idle.append(process)
        return document

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )


async def _ask(
    process: asyncio.subprocess.Process, request: ReadingRequest, body: bytes
) -> Document:
    """Sends a body, and puts together what comes back: a chunk at a time."""
    source, sink = process.stdout, process.stdin
    assert source is not None, "both are pipes"  # noqa: S101
    assert sink is not None, "both are pipes"  # noqa: S101
    sink.write(frames.pack(frames.HEAD, request.model_dump_json().encode()))
    sink.write(frames.pack(frames.HEAD, body))
    await sink.drain()
    time_slice = TimeSlice()
    said: dict[bytes, bytes] = {}
    items: list[Item] = []
    while (frame := await frames.receive(source))[0] != frames.DONE:
        kind, content = frame
        if kind == frames.ERROR:
            raise frames.Refusal.model_validate_json(content).to_error()
        if kind == frames.CHUNK:
            items.extend(read_chunk(content))
            await time_slice.taken()
        else:
            said[kind] = content
    terms, echo = said[frames.HEAD], said.get(frames.ECHO, b"")
    if not terms:
        return Document(items, echo=echo)
    whole = ScoreRequest.model_validate(json.loads(terms) | {"items": tuple(items)})
    return Document(whole.items, whole, echo)
