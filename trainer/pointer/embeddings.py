"""Embeddings of queries and of a pool's items, read from three kinds of files.

A file has one vector per row, and may name the rows. Pickles are never read.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Embeddings", "read_embeddings", "rows_of_queries", "write_embeddings"]

_VECTORS = ("embeddings", "embedding", "vectors")
_IDS = ("ids", "id", "query_id")


@dataclass(frozen=True)
class Embeddings:
    """Vectors, with the names of their rows if the file gives them."""

    vectors: "NDArray[np.float32]"
    """(rows, size)."""
    ids: tuple[str, ...] | None
    where: str
    """The file."""

    @property
    def bad_rows(self) -> tuple[int, ...]:
        """Rows that contain a number that is not finite."""
        return tuple(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1)).tolist())

    def checked(self) -> "Embeddings":
        """These embeddings, after checking that every number is finite.

        Raises:
            DatasetError: One is not; the message gives the row.
        """
        if self.bad_rows:
            raise DatasetError(
                f"{self.where}, row {self.bad_rows[0]}: contains NaN or infinity; compute this "
                "embedding again, or leave the row out",
                "not_finite",
            )
        return self


def read_embeddings(path: str | Path) -> Embeddings:
    """Reads vectors; :meth:`Embeddings.checked` checks that their numbers are finite.

    Args:
        path: ``.npz`` with an array ``embeddings`` and, if rows have names, ``ids``;
            ``.safetensors`` with a tensor ``embeddings`` and, in its metadata, ``ids`` as a JSON
            list; or Parquet with a column ``embedding`` and a column ``id``.

    Raises:
        DatasetError: The file cannot be read or is not a table of numbers.
    """
    file = Path(path)
    if not str(path) or not file.is_file():
        raise DatasetError(f"no embeddings at {str(path)!r}: give a file")
    readers = {".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet}
    if file.suffix not in readers:
        raise DatasetError(f"{file} is not a {', '.join(readers)} file")
    try:
        values, ids = readers[file.suffix](file)
        vectors = np.asarray(values, dtype=np.float32)
    except DatasetError:
        raise
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as exc:
        raise DatasetError(f"{file} does not contain embeddings: {exc}") from exc
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DatasetError(f"{file}: expected a table of vectors, got the shape {vectors.shape}")
    return Embeddings(vectors, _names(ids, len(vectors), file), str(file))


def write_embeddings(path: Path, vectors: "NDArray[np.float32]", ids: Sequence[str] = ()) -> None:
    """Writes an ``.npz`` that :func:`read_embeddings` reads.

    Args:
        path: The file.
        vectors: (rows, size).
        ids: Names of the rows; none by default.
    """
    names: dict[str, Any] = {"ids": np.asarray(ids, dtype=np.str_)} if ids else {}
    np.savez_compressed(path, embeddings=vectors, **names)


def rows_of_queries(embeddings: Embeddings, queries: Sequence[str]) -> list[int]:
    """The row of each query, by name or, without names, by order or number.

    Rows without names belong to the queries in order if there are equally many; otherwise each
    query's id must be the number of its row.

    Raises:
        DatasetError: A query has no row, or there are not as many rows as queries.
    """
    size = len(embeddings.vectors)
    if embeddings.ids is not None:
        places = {name: row for row, name in enumerate(embeddings.ids)}
        if missing := [query for query in queries if query not in places]:
            raise DatasetError(
                f"{embeddings.where} has no embedding of the query {missing[0]!r} "
                f"({len(missing)} of {len(queries)} are missing)",
                "embeddings_length",
            )
        return [places[query] for query in queries]
    numbers = [int(query) if query.isdecimal() else size for query in queries]
    if all(number < size for number in numbers):
        return numbers
    if size != len(queries):
        raise DatasetError(
            f"{embeddings.where} has {size} embeddings for {len(queries)} queries; provide one per "
            "query in the same order, or name them with ids",
            "embeddings_length",
        )
    return list(range(size))


def _npz(file: Path) -> tuple[Any, Any]:
    with np.load(file, allow_pickle=False) as arrays:
        return _picked({name: arrays[name] for name in arrays.files}, file)


def _safetensors(file: Path) -> tuple[Any, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as tensors:
            named = {name: tensors.get_tensor(name).float().numpy() for name in tensors.keys()}  # noqa: SIM118
            said = (tensors.metadata() or {}).get("ids")
    except SafetensorError as exc:
        raise DatasetError(f"{file} does not contain embeddings: {exc}") from exc
    values, _ = _picked(named, file)
    return values, None if said is None else json.loads(said)


def _parquet(file: Path) -> tuple[Any, Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(file).to_pydict()
    except pyarrow.ArrowException as exc:
        raise DatasetError(f"{file} does not contain embeddings: {exc}") from exc
    return _picked(table, file)


def _picked(named: Mapping[str, Any], file: Path) -> tuple[Any, Any]:
    """The vectors and ids among arrays or columns; a single array needs no name."""
    found = [name for name in _VECTORS if name in named]
    rest = [name for name in named if name not in _IDS]
    if not found and len(rest) != 1:
        raise DatasetError(f"{file} has {', '.join(named) or 'nothing'}; name it embeddings")
    ids = next((named[name] for name in _IDS if name in named), None)
    return named[found[0] if found else rest[0]], ids


def _names(ids: Any, count: int, file: Path) -> tuple[str, ...] | None:  # noqa: ANN401
    if ids is None:
        return None
    names = tuple(str(one) for one in ids)
    if len(names) != count:
        said = f"{file} has {len(names)} ids for {count} embeddings"
        raise DatasetError(said, "embeddings_length")
    if len(set(names)) != count:
        raise DatasetError(f"{file} gives the same id to several embeddings")
    return names
