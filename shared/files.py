"""Files that are there whole or not at all, even after a power cut, and folders that are locked."""

import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shared.errors import GreenforkError

__all__ = [
    *("locked", "os_errors", "sync", "sync_tree"),
    *("write_atomically", "written_atomically"),
]


@contextmanager
def os_errors(kind: type[GreenforkError], doing: str, code: str | None = None) -> Iterator[None]:
    """Turns an ``OSError`` into an error of ours.

    Args:
        kind: The error to raise.
        doing: What could not be done, such as ``cannot read FILE``; the system's reason follows.
        code: Its code, where it is not the usual one.
    """
    try:
        yield
    except OSError as exc:
        raise kind(f"{doing}: {exc.strerror or exc}", code) from exc


@contextmanager
def written_atomically(path: Path, draft: Path | None = None) -> Iterator[IO[bytes]]:
    """A file that takes its place only when it is complete; otherwise the old one stays.

    An existing file's mode is kept.

    Args:
        path: The file.
        draft: Where it is written, on the same file system; by default beside it, under a hidden
            name of its own.

    Raises:
        OSError: It cannot be written there.
    """
    draft = draft or path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with draft.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def write_atomically(path: Path, parts: bytes | Iterable[bytes], draft: Path | None = None) -> None:
    """Writes a whole file; see :func:`written_atomically`."""
    with written_atomically(path, draft) as sink:
        sink.writelines([parts] if isinstance(parts, bytes) else parts)


def sync(path: Path) -> None:
    """Returns when a file's content, or a folder's list of files, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Returns when everything in a folder is on disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def locked(folder: Path, waits: bool = True) -> Iterator[int]:
    """Holds a folder's lock, which ends with the process that has it, however that ends.

    Args:
        folder: What is locked; gives its descriptor.
        waits: Whether to wait for whoever has it.

    Raises:
        BlockingIOError: Somebody has it, and this does not wait.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        yield descriptor
    finally:
        os.close(descriptor)
