"""``greenfork predict``: what a selector chooses from its pool for new queries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenfork.output import print_json
from greenfork.screen import print_rows
from shared.errors import ConfigError, DatasetError
from shared.files import os_errors

if TYPE_CHECKING:
    from trainer.pointer.embeddings import Embeddings
    from trainer.pointer.model import PointerModel

__all__ = ["EXAMPLE", "predict"]

EXAMPLE = """Example:

greenfork predict --model runs/pointer --query-embeddings new.npz --out selections.jsonl
"""


def predict(
    model: Annotated[Path, typer.Option(help="Folder of a run with --policy pointer.")],
    query_embeddings: Annotated[
        Path, typer.Option(help="Embeddings of the queries: .npz, .safetensors or .parquet.")
    ],
    out: Annotated[Path, typer.Option(help="Selections, one query a line (JSONL).")],
    beam: Annotated[int, typer.Option(min=1, help="Selections per query, the likeliest.")] = 5,
    length: Annotated[
        int | None, typer.Option(min=1, help="Items per selection. Default: as in training.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Queries per forward pass.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Choose from the pool for new queries, with the log-probability of every selection.

    A line has ``query_id``, ``id_list`` with ``score_list``, the likeliest first, and ``items``,
    those of the likeliest. A query that cannot be read has an ``error`` instead, and the exit
    status is 1.
    """
    from trainer.environment import stay_offline
    from trainer.pointer.embeddings import read_embeddings
    from trainer.pointer.selection import load_pointer

    stay_offline()
    selector, queries = load_pointer(model), read_embeddings(query_embeddings)
    _check(selector, queries, length)
    failed = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with os_errors(ConfigError, f"cannot write --out {out}"), out.open("w") as lines:
        for line in _lines(selector, queries, _items(model), beam, length, batch_size):
            failed += "error" in line
            lines.write(json.dumps(line) + "\n")
    count = len(queries.vectors)
    if as_json:
        print_json({"queries": count, "failed": failed, "out": str(out)})
    else:
        print_rows(str(out), (("queries", str(count)), ("failed", str(failed))))
    raise typer.Exit(1 if failed else 0)


def _check(selector: "PointerModel", queries: "Embeddings", length: int | None) -> None:
    shape = selector.config
    if queries.vectors.shape[1] != shape.query_size:
        raise DatasetError(
            f"{queries.where} has vectors of {queries.vectors.shape[1]} numbers; the selector was "
            f"trained on {shape.query_size}: embed the queries with the same model",
            "embeddings_length",
        )
    longest = shape.length - shape.has_end
    if length is not None and length > longest:
        raise ConfigError(f"--length {length}: the selector was trained on up to {longest} items")


def _items(folder: Path) -> list[Any]:
    """The pool that was saved with a selector; empty where there is none."""
    from trainer.data.prompts import read_records

    places = (folder / "model" / "pool.jsonl", folder / "pool.jsonl")
    file = next((one for one in places if one.is_file()), None)
    return [] if file is None else [row.get("text", row) for row in read_records(file)]


def _lines(
    selector: "PointerModel",
    queries: "Embeddings",
    items: list[Any],
    beam: int,
    length: int | None,
    batch_size: int,
) -> Iterator[dict[str, Any]]:
    """One a query, in order."""
    import torch

    from trainer.pointer.selection import select

    bad = set(queries.bad_rows)
    for start in range(0, len(queries.vectors), batch_size):
        rows = range(start, min(start + batch_size, len(queries.vectors)))
        good = [row for row in rows if row not in bad]
        found = iter(select(selector, torch.from_numpy(queries.vectors[good]), beam, length))
        for row in rows:
            name = queries.ids[row] if queries.ids else str(row)
            if row in bad:
                said = (
                    f"row {row} of {queries.where} contains NaN or infinity; embed the query again"
                )
                yield {"query_id": name, "error": {"code": "not_finite", "message": said}}
                continue
            chosen = next(found)
            yield {
                "query_id": name,
                "id_list": [list(one.places) for one in chosen],
                "score_list": [one.score for one in chosen],
                "items": [items[place] for place in chosen[0].places] if items else [],
            }
