"""The ledger as a Parquet file, for analysis or training without the service.

Columns: ``key``, ``state_id``, ``tls_id``, ``decision`` (JSON by signal; null: nothing decided),
``horizon_s``, ``simulator``, one for every metric of :class:`shared.rewards.Metrics`, and
``created_at``.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetWriter
from pydantic import ValidationError
from sqlalchemy import URL, Connection, CursorResult, Row, func, select

from reward_server.storage.reading import Selection, open_to_read
from reward_server.storage.tables import OUTCOMES
from shared.errors import InputError, LedgerError
from shared.files import os_errors, written_atomically
from shared.rewards import Metrics

__all__ = ["COLUMNS", "Progress", "export_outcomes"]

Progress = Callable[[int, int], None]
"""Called with the number of outcomes written so far and the total."""

_ROWS_A_GROUP = 5_000
_PLAIN = ("key", "state_id", "tls_id", "decision", "horizon_s", "simulator")
_METRICS = tuple(Metrics.model_fields)

COLUMNS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in _PLAIN if name != "horizon_s"),
        *(pa.field(name, pa.float64()) for name in _METRICS if name not in ("custom", "series")),
        pa.field("series", pa.list_(pa.int32())),
        pa.field("custom", pa.map_(pa.string(), pa.float64())),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
    ]
).insert(_PLAIN.index("horizon_s"), pa.field("horizon_s", pa.int32()))
"""Types of the columns. Numbers are as exact as in the ledger."""


def export_outcomes(
    url: URL, output: Path, selection: Selection, progress: Progress = lambda done, total: None
) -> int:
    """Writes outcomes to a Parquet file, in the order of their keys.

    The ledger is read as of the beginning, a few thousand outcomes at a time. The file appears
    when it is complete.

    Returns:
        The number of outcomes.

    Raises:
        ConfigError: There is no ledger.
        InputError: The file cannot be written.
        LedgerError: The ledger cannot be read, or an outcome in it is damaged.
    """
    done = 0
    with (
        open_to_read(url) as connection,
        os_errors(InputError, f"cannot write {output}", "not_writable"),
        written_atomically(output) as sink,
    ):
        total = _count(connection, selection)
        with (
            ParquetWriter(sink, COLUMNS, compression="zstd") as writer,
            _select(connection, selection) as result,
        ):
            for rows in result.partitions():
                writer.write_batch(_batch(rows))
                done += len(rows)
                progress(done, total)
    return done


def _count(connection: Connection, selection: Selection) -> int:
    query = select(func.count()).select_from(OUTCOMES).where(*selection.conditions())
    return int(connection.execute(query).scalar_one())


def _select(connection: Connection, selection: Selection) -> CursorResult[Any]:
    """The outcomes, fetched in groups. The caller has to close the result."""
    query = select(OUTCOMES).where(*selection.conditions()).order_by(OUTCOMES.c.key)
    return connection.execution_options(yield_per=_ROWS_A_GROUP).execute(query)


def _batch(rows: Sequence[Row[Any]]) -> pa.RecordBatch:
    metrics = [_metrics(row) for row in rows]
    columns: dict[str, list[object]] = {
        name: [getattr(row, name) for row in rows] for name in _PLAIN
    }
    columns |= {name: [getattr(one, name) for one in metrics] for name in _METRICS}
    columns["created_at"] = [datetime.fromtimestamp(row.created_at, UTC) for row in rows]
    return pa.RecordBatch.from_pydict(columns, schema=COLUMNS)


def _metrics(row: Row[Any]) -> Metrics:
    try:
        return Metrics.model_validate_json(row.metrics)
    except ValidationError as exc:
        raise LedgerError(f"the outcome {row.key} in the ledger is damaged: {exc}") from exc
