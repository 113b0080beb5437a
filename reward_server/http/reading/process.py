"""``python -m reward_server.http.reading.process``: reads bodies for a gateway, one after another.

It reads frames from standard input and writes frames to standard output until the input is closed.
A body that takes more memory than the process has ends it; the gateway then starts another.
"""

import resource
import sys
from typing import IO

from pydantic import Field

from reward_server.http.reading import frames
from reward_server.http.reading.documents import Form, items_in_chunks, read_document
from shared.errors import InvalidRequest, RequestError
from shared.model import WireModel
from shared.wire.scoring import ScoreRequest

__all__ = ["ReadingRequest", "main"]

_MEMORY_BYTES = 2 * 2**30
_STAYING_KIB = 512 * 2**10
"""A process that has ever used more than this ends, so that the memory is released."""


class ReadingRequest(WireModel):
    """What to read; followed by the body."""

    form: Form
    extend_s: int = Field(ge=0)
    max_items: int = Field(ge=1)


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """Reads bodies until there are no more, or until the process has grown too large."""
    while (head := frames.read(source)) is not None and (body := frames.read(source)) is not None:
        request = ReadingRequest.model_validate_json(head[1])
        try:
            _answer(request, body[1], sink)
        except RequestError as exc:
            _refuse(exc, sink)
        except (MemoryError, RecursionError):
            words = "reading the body takes too much memory; send fewer items per request"
            _refuse(InvalidRequest(words, "too_large"), sink)
        sink.flush()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _STAYING_KIB:
            return


def _answer(request: ReadingRequest, body: bytes, sink: IO[bytes]) -> None:
    document = read_document(request.form, body, request.extend_s, request.max_items)
    terms = b"" if document.terms is None else _terms(document.terms)
    sink.write(frames.pack(frames.HEAD, terms))
    for chunk in items_in_chunks(document.items):
        sink.write(frames.pack(frames.CHUNK, chunk))
    if document.echo:
        sink.write(frames.pack(frames.ECHO, document.echo))
    sink.write(frames.pack(frames.DONE, b""))


def _terms(request: ScoreRequest) -> bytes:
    return request.model_dump_json(exclude={"items"}, exclude_unset=True).encode()


def _refuse(error: RequestError, sink: IO[bytes]) -> None:
    sink.write(frames.pack(frames.ERROR, frames.Refusal.of(error).model_dump_json().encode()))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(sys.stdin.buffer, sys.stdout.buffer)
