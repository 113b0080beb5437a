"""Packs uploads for a reward service."""

import gzip
import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Upload", "pack", "scenario_upload", "state_upload"]

_GZIP_MAGIC = b"\x1f\x8b"
_UNIX = 3
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16


@dataclass(frozen=True)
class Upload:
    """One upload."""

    path: str
    params: Mapping[str, str | int | float]
    content: bytes


def scenario_upload(archive: bytes, name: str | None) -> Upload:
    """A scenario archive, with the scenario's name if it is already normalised."""
    return Upload("/v1/scenarios", {} if name is None else {"name": name}, archive)


def state_upload(content: bytes, scenario_id: str, seed: int, scale: float) -> Upload:
    """A state of an uploaded scenario; gzipped if it is not already."""
    packed = content if content.startswith(_GZIP_MAGIC) else gzip.compress(content, 6, mtime=0)
    params: dict[str, str | int | float] = {"scenario": scenario_id, "seed": seed}
    return Upload("/v1/states", params if scale == 1 else params | {"scale": scale}, packed)


def pack(files: Mapping[str, bytes]) -> bytes:
    """A reproducible zip of files by name.

    >>> pack({"a": b"1", "b": b"2"}) == pack({"b": b"2", "a": b"1"})
    True
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # of 1980-01-01
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            packed.writestr(entry, content, zipfile.ZIP_DEFLATED, 6)
    return archive.getvalue()
