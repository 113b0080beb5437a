"""Unpacking an archive made by a stranger.

Everything is counted while it is unpacked; what an archive says about itself is not trusted. Only
plain files are extracted, under names inside the folder, and all names are checked before anything
is written.
"""

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.parsers import expat

from shared.errors import ScenarioError

__all__ = ["ArchiveLimits", "check_name", "check_unpacked", "most_bytes", "unpack"]

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_DRIVE = re.compile(r"[A-Za-z]:")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_INCLUDING = ("include", "calibrator", "rerouter", "variableSpeedSign")
"""The attributes that make SUMO read another file in place of an element."""
_INCLUDING_NAME = re.compile(rb"include|calibrator|rerouter|variableSpeedSign")
_LONGEST_NAME = 32
_MAX_INCLUDES = 10_000
_MAX_NAME_CHARS = 240
_MAX_DEPTH = 16
_OUT_OF_MEMORY = "Error -4 "
"""Window bits for zlib."""
_FREE_BYTES = 16 << 20
"""How much any archive may unpack to, however small it is."""


@dataclass(frozen=True)
class ArchiveLimits:
    """Limits on what an archive may unpack to."""

    entries: int = 1000
    """Number of files and folders."""
    file_bytes: int = 512 << 20
    """Size of one file in bytes."""
    total_bytes: int = 1 << 30
    """Size of all files in bytes."""
    ratio: int = 200
    """Unpacked bytes for each byte of the archive; XML of networks has 10 to 40."""


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpacks a zip into an empty folder.

    Raises:
        ScenarioError: ``bad_archive``: it is not a zip, or contains something other than plain
            files; ``too_large``: it unpacks to more than the limits allow. The folder must then be
            discarded.
    """
    _refuse_other_formats(archive)
    gate = _Unpacking(folder, limits or ArchiveLimits(), archive.stat().st_size)
    with _errors_named():
        _unpack_zip(archive, gate)


def check_unpacked(folder: Path, archive_bytes: int, limits: ArchiveLimits | None = None) -> None:
    """Counts what the files of an archive amount to when they are read, with gzips and includes.

    The budget is that of the archive itself, and it is shared by everything: the files, the
    unpacked contents of gzips, and every file once more each time that another one includes it.

    Args:
        folder: The unpacked archive.
        archive_bytes: The size of the archive as sent.
        limits: What it may unpack to.

    Raises:
        ScenarioError: ``too_large``; ``bad_archive``: a gzip is damaged; ``unsupported_input``:
            files include each other in a loop, or too deeply.
    """
    budget = _Budget(limits or ArchiveLimits(), archive_bytes)
    _Weighing(folder, budget).weigh_all()


def most_bytes(archive_bytes: int, limits: ArchiveLimits | None = None) -> int:
    """How many bytes an archive of this size may unpack to.

    >>> most_bytes(1000), most_bytes(1_000_000)
    (16777216, 200000000)
    """
    limits = limits or ArchiveLimits()
    return min(limits.total_bytes, max(_FREE_BYTES, archive_bytes * limits.ratio))


def check_name(name: str) -> tuple[str, ...]:
    """The parts of an entry's name.

    >>> check_name("city/net.xml")
    ('city', 'net.xml')

    Raises:
        ScenarioError: ``bad_archive``: it leads out of the archive, or is not a plain path.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    is_plain = parts and not name.startswith("/") and ".." not in parts
    if (
        not is_plain
        or len(parts) > _MAX_DEPTH
        or any(len(part.encode()) > _MAX_NAME_CHARS for part in parts)
        or _UNUSABLE.search(name)
        or _DRIVE.match(name)
    ):
        raise ScenarioError(f"an entry of the archive is named {name[:200]!r}", "bad_archive")
    return parts


class _Budget:
    """How many bytes an archive may unpack to."""

    def __init__(self, limits: ArchiveLimits, archive_bytes: int) -> None:
        self.most = most_bytes(archive_bytes, limits)
        self._bytes = 0

    def count(self, size: int) -> None:
        """Adds bytes that were unpacked."""
        self._bytes += size
        if self._bytes > self.most:
            raise ScenarioError(
                f"the archive unpacks to more than {self.most} bytes, counting gzipped files "
                "as unpacked and each file once per include",
                "too_large",
            )


class _Weighing:
    """Counts the files of a folder as they will be read."""

    def __init__(self, folder: Path, budget: _Budget) -> None:
        self._folder = folder.resolve()
        self._budget = budget
        self._sizes: dict[Path, int] = {}
        self._includes: dict[Path, list[Path]] = {}
        self._read: dict[Path, int] = {}

    def weigh_all(self) -> None:
        """Counts everything."""
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                self._weigh(path)
        for path in self._sizes:
            self._budget.count(self._as_read(path, 0) - self._sizes[path])

    def _weigh(self, path: Path) -> None:
        """Counts one file, unpacked, and finds what it includes; keeps nothing of it."""
        size, tail, includes = 0, b"", False
        for chunk in _unpacked_chunks(path):
            size += len(chunk)
            self._budget.count(len(chunk))
            text = tail + chunk.replace(b"\0", b"")  # also for two-byte characters
            includes = includes or _INCLUDING_NAME.search(text) is not None
            tail = text[-_LONGEST_NAME:]
        self._sizes[path] = size
        names = _included_names(path) if includes else []
        found = ((path.parent / name).resolve() for name in names)
        self._includes[path] = [other for other in found if other.is_relative_to(self._folder)]

    def _as_read(self, path: Path, depth: int) -> int:
        """The bytes of a file with everything that it includes."""
        if path not in self._sizes:  # it is missing, which is reported when it is read
            return 0
        if depth > _MAX_DEPTH:
            raise ScenarioError(
                f"{path.name} includes files in an endless loop", "unsupported_input"
            )
        if path not in self._read:
            total = self._sizes[path]
            for other in self._includes[path]:
                total = min(total + self._as_read(other, depth + 1), self._budget.most + 1)
            self._read[path] = total
        return self._read[path]


def _included_names(path: Path) -> list[str]:
    """The files that a file includes in place of elements, as far as it can be parsed."""
    names: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] in _INCLUDING:
            names.extend(attributes[key] for key in ("href", "file") if attributes.get(key))
        if len(names) > _MAX_INCLUDES:
            raise ScenarioError(
                f"{path.name} includes more than {_MAX_INCLUDES} files", "too_large"
            )

    def refuse(*_: object) -> None:
        raise ScenarioError(f"{path.name} declares entities, which is not supported", "bad_xml")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    try:
        for chunk in _unpacked_chunks(path):
            parser.Parse(chunk, False)
    except (expat.ExpatError, LookupError, ValueError):  # which is reported when it is read
        return names
    return names


def _unpacked_chunks(path: Path) -> Iterator[bytes]:
    """The content of a file, unzipped if it is gzipped."""
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        with _errors_named(), gzip.open(file) if is_packed else nullcontext(file) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk


class _Unpacking:
    """Writes entries into a folder and counts them."""

    def __init__(self, folder: Path, limits: ArchiveLimits, archive_bytes: int) -> None:
        self._folder = folder
        self._limits = limits
        self._budget = _Budget(limits, archive_bytes)
        self._entries = 0

    def count_entry(self) -> None:
        """Counts one more file or folder."""
        self._entries += 1
        if self._entries > self._limits.entries:
            raise ScenarioError(
                f"the archive has more than {self._limits.entries} entries", "too_large"
            )

    def write(self, name: str, content: IO[bytes]) -> None:
        """Writes a file, which must not exist already."""
        path = self._folder.joinpath(*check_name(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        left = self._limits.file_bytes
        with path.open("xb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                self._budget.count(len(chunk))
                left -= len(chunk)
                if left < 0:
                    raise ScenarioError(
                        f"{name!r} has more than {self._limits.file_bytes} bytes", "too_large"
                    )
                file.write(chunk)


def _refuse_other_formats(archive: Path) -> None:
    """Tells whoever sent something other than a zip how to make one."""
    with archive.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    if head.startswith(_ZIP_MAGIC):
        return
    is_tar = head.startswith(_GZIP_MAGIC) or head.endswith(_TAR_MAGIC)
    found = "a tar or gzip file" if is_tar else "not a zip file"
    raise ScenarioError(
        f"this is {found}, and only zip archives are accepted; "
        "make one with: zip -r scenario.zip FOLDER",
        "bad_archive",
    )


def _unpack_zip(archive: Path, gate: _Unpacking) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            gate.count_entry()
            check_name(entry.orig_filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise ScenarioError(f"{entry.filename!r} is not a plain file", "bad_archive")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ScenarioError(f"{entry.filename!r} is not deflated", "bad_archive")
            with packed.open(entry) as content:
                gate.write(entry.filename, content)


@contextmanager
def _errors_named() -> Iterator[None]:
    """Reports whatever goes wrong in a damaged archive as the archive's fault."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as exc:
        if _OUT_OF_MEMORY in str(exc):
            raise ScenarioError(
                "it takes more memory than an upload is allowed", "too_large"
            ) from exc
        raise ScenarioError(f"the archive is damaged: {exc}", "bad_archive") from exc
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise ScenarioError("two entries of the archive have the same name", "bad_archive") from exc
    except (NotImplementedError, RuntimeError, OSError) as exc:
        raise ScenarioError(f"the archive cannot be unpacked: {exc}", "bad_archive") from exc
