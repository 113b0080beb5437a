"""Writing into a dataset what a verification has shown.

The only changes that are ever made to a built dataset: how some of its states are restored, and
whether its runs are the user's own. Each file is written beside the old one and takes its place
whole; rows first, so that whatever interrupts this, nothing says more than its rows.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.dataset import DatasetLayout
from shared.decisions import DecisionKind
from shared.wire.states import Restore

__all__ = ["promote", "rewrite_lines", "write_whole"]


def promote(
    root: Path,
    restores: Mapping[str, Restore],
    verified_s: int,
    proven: Mapping[str, Mapping[str, DecisionKind]],
) -> None:
    """Rewrites ``train.jsonl``, ``eval.jsonl`` and ``states/index.jsonl``; other lines stay as is.

    Args:
        root: The dataset.
        restores: By state, how it is brought back exactly.
        verified_s: Seconds over which that was seen.
        proven: By state and signal, the kind of the decisions under which it was.
    """
    layout = DatasetLayout(root)
    for path in (layout.rows("train"), layout.rows("eval")):
        if path.is_file():
            rewrite_lines(path, {state: {"restore": to} for state, to in restores.items()})
    changes = {
        state: {"restore": to, "verified_s": verified_s, "proven": proven[state]}
        for state, to in restores.items()
    }
    rewrite_lines(layout.index, changes)


def rewrite_lines(path: Path, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Changes fields of the lines about some states, by state."""
    lines = path.read_bytes().splitlines(keepends=True)
    write_whole(path, (_changed(line, changes) for line in lines))


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Writes a file anew: beside the old one, whose place it takes when it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as sink:
            sink.writelines(parts)
            sink.flush()
            os.fsync(sink.fileno())
        part.chmod(path.stat().st_mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _changed(line: bytes, changes: Mapping[str, Mapping[str, object]]) -> bytes:
    if not line.strip():
        return line
    fields = json.loads(line)
    if fields["state_id"] not in changes:
        return line
    fields |= changes[fields["state_id"]]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
