"""Writes the results of a verification into a dataset.

These are the only changes ever made to a built dataset: how some of its states are restored, and
whether its runs are the user's own. Each file is written next to the old one and replaces it as a
whole; rows first, so that an interruption leaves nothing that claims more than its rows.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from shared.dataset import DatasetLayout
from shared.decisions import DecisionKind
from shared.files import write_atomically
from shared.wire.states import Restore

__all__ = ["promote", "rewrite_lines"]


def promote(
    root: Path,
    restores: Mapping[str, Restore],
    verified_s: int,
    proven: Mapping[str, Mapping[str, DecisionKind]],
) -> None:
    """Rewrites ``train.jsonl``, ``eval.jsonl`` and ``states/index.jsonl``; other lines stay as is.

    Args:
        root: The dataset.
        restores: By state, how it is restored exactly.
        verified_s: Seconds over which that was shown.
        proven: By state and signal, the kind of decisions for which it was shown.
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
    write_atomically(path, (_changed(line, changes) for line in lines))


def _changed(line: bytes, changes: Mapping[str, Mapping[str, object]]) -> bytes:
    if not line.strip():
        return line
    fields = json.loads(line)
    if fields["state_id"] not in changes:
        return line
    fields |= changes[fields["state_id"]]
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
