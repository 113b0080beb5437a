"""``python -m reward_server.jobs.parquet_rows``: the rows of a Parquet file as JSON lines.

Runs in a process of its own, with limited memory and time: a few bytes of Parquet can unpack to
more than any machine has, and the library that reads it is large. Reads the file from standard
input and writes to standard output; an error is one line on standard error, with exit status 3.
"""

import json
import resource
import sys
from collections.abc import Iterator
from typing import IO, Any

import pyarrow
from pyarrow import parquet

from reward_server.jobs.bodies import REFUSED
from shared.errors import InvalidRequest
from shared.validation import without_nulls
from shared.wire.scoring import DomainItem, ScoreItem

__all__ = ["main", "rows_of"]

_MEMORY_BYTES = 2**30
_BATCH_ROWS = 256
_AS_JSON = ("decision", "decisions")


def rows_of(file: IO[bytes], max_rows: int, max_bytes: int) -> Iterator[bytes]:
    """Each row as a JSON object, without its nulls.

    Args:
        file: A Parquet file; must be seekable.
        max_rows: Maximum number of rows.
        max_bytes: Maximum size of the unpacked file.

    Raises:
        InvalidRequest: It is not Parquet, is too large, or has columns that items do not have.
    """
    try:
        table = parquet.ParquetFile(file)
        _refuse_unsuitable(table, max_rows, max_bytes)
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for row in batch.to_pylist(maps_as_pydicts="strict"):
                number += 1
                yield _line(row, number)
    except (pyarrow.ArrowException, OSError, MemoryError, LookupError, ValueError) as exc:
        said = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise InvalidRequest(f"the Parquet file cannot be read: {said[:200]}") from exc


def main(max_rows: int, max_bytes: int) -> int:
    """Converts standard input.

    Returns:
        The exit status.
    """
    _limit_itself()
    left_bytes = max_bytes
    try:
        for line in rows_of(sys.stdin.buffer, max_rows, max_bytes):
            left_bytes -= len(line)
            if left_bytes < 0:
                raise _too_large(max_bytes)
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except InvalidRequest as exc:
        sys.stderr.write(json.dumps({"message": exc.message, "code": exc.code}) + "\n")
        return REFUSED
    return 0


def _limit_itself() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


_COLUMNS = {*ScoreItem.model_fields, *DomainItem.model_fields}


def _refuse_unsuitable(table: parquet.ParquetFile, max_rows: int, max_bytes: int) -> None:
    """Looks at what the file says of itself before anything is unpacked."""
    unknown = [name for name in table.schema_arrow.names if name not in _COLUMNS]
    if unknown:
        raise InvalidRequest(f"items have no field {unknown[0]}: remove that column")
    metadata = table.metadata
    if metadata.num_rows > max_rows:
        raise InvalidRequest(
            f"there are more items than the limit of {max_rows} per job", "too_many_items"
        )
    groups = range(metadata.num_row_groups)
    if sum(metadata.row_group(group).total_byte_size for group in groups) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> InvalidRequest:
    return InvalidRequest(f"unpacked, the Parquet file is larger than {max_bytes} bytes")


def _line(row: dict[str, Any], number: int) -> bytes:
    item = {name: _known(name, value) for name, value in row.items() if value is not None}
    try:
        return json.dumps(item, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as exc:
        raise InvalidRequest(f"line {number}: {exc}") from exc


def _known(name: str, value: object) -> object:
    """A cell as items have it: decisions may be text, or a struct with nulls in it."""
    if name in _AS_JSON and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value  # the item is refused for it, with its line and field
    return without_nulls(value)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
