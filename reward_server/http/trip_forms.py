"""The trips of an episode in the forms that are asked for."""

import csv
import io
from dataclasses import asdict, fields
from typing import Literal, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from sim_workers.episodes.figures import Trip, trips_of

__all__ = ["TRIP_FORMS", "TripForm", "write_trips"]

TripForm = Literal["text/csv", "application/vnd.apache.parquet", "application/xml"]
TRIP_FORMS: dict[str, TripForm] = {
    "text/csv": "text/csv",
    "application/vnd.apache.parquet": "application/vnd.apache.parquet",
    "application/xml": "application/xml",
}
"""Media types, by themselves."""

_SCHEMA = pa.schema(
    [
        pa.field(one.name, pa.string() if one.name == "vehicle_id" else pa.float64())
        for one in fields(Trip)
    ]
)


def write_trips(tripinfo: bytes, form: TripForm) -> bytes:
    """The trips of all vehicles that departed, or should have before the end.

    Args:
        tripinfo: SUMO's own output, which is what ``application/xml`` gives.
        form: The media type.

    Raises:
        RolloutError: ``bad_output``.
    """
    match form:
        case "application/xml":
            return tripinfo
        case "text/csv":
            text = io.StringIO(newline="")
            rows = csv.DictWriter(text, [field.name for field in fields(Trip)])
            rows.writeheader()
            rows.writerows(map(asdict, trips_of(tripinfo)))
            return text.getvalue().encode()
        case "application/vnd.apache.parquet":
            table = pa.Table.from_pylist([asdict(one) for one in trips_of(tripinfo)], _SCHEMA)
            sink = io.BytesIO()
            pq.write_table(table, sink)
            return sink.getvalue()
    assert_never(form)
