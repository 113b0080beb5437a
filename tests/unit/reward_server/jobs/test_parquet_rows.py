"""Parquet files as lines of JSON, and what is refused before or while it is unpacked."""

import io
import json
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from reward_server.jobs.parquet_rows import rows_of
from shared.decisions import Extend, NextPhase
from shared.errors import InvalidRequest
from shared.wire.scoring import ScoreItem


def rows(columns: dict[str, Any], max_rows: int = 100, max_bytes: int = 10**6) -> list[Any]:
    """The rows of a table, back from a file."""
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, row_group_size=2)
    return [json.loads(line) for line in rows_of(file, max_rows, max_bytes)]


def test_decisions_may_be_text_or_structs() -> None:
    """With the columns of kinds that a row does not have left out."""
    extend = {"kind": "extend", "extend": True, "next_phase": None, "green_s": None}
    phase = {"kind": "phase", "extend": None, "next_phase": 2, "green_s": 9}
    shared = {"id": ["a", None, "c"], "state_id": ["s"] * 3, "tls_id": ["C"] * 3}
    structs = rows(shared | {"decision": [extend, phase, extend]})
    texts = rows(
        shared | {"decision": ['{"kind":"extend","extend":true}', json.dumps(phase), None]}
        | {"completion": [None, None, "yes"], "decision_kind": [None, None, "extend"]}
    )  # fmt: skip
    yes, green = Extend(extend=True), NextPhase(next_phase=2, green_s=9)
    assert [ScoreItem.model_validate(row).decision for row in structs] == [yes, green, yes]
    assert "id" not in structs[1]
    assert texts[0]["decision"] == {"kind": "extend", "extend": True}
    assert ScoreItem.model_validate(texts[2]).completion == "yes"


def test_decisions_at_several_signals_may_be_a_map() -> None:
    """Or text."""
    decision = {"kind": "extend", "extend": True}
    kind = pa.map_(pa.string(), pa.struct([("kind", pa.string()), ("extend", pa.bool_())]))
    as_map = rows({"state_id": ["s"], "decisions": pa.array([[("A", decision)]], kind)})
    as_text = rows({"state_id": ["s"], "decisions": [json.dumps({"A": decision})]})
    assert as_map == as_text == [{"state_id": "s", "decisions": {"A": decision}}]


@pytest.mark.parametrize(
    ("columns", "limits", "words"),
    [
        ({"state_id": ["s"], "prompt": ["p"]}, {}, "items have no field prompt"),
        ({"state_id": ["s"] * 101}, {}, "more items than the limit of 100 per job"),
        ({"state_id": [str(i) * 9 for i in range(90)]}, {"max_bytes": 500}, "larger than 500"),
        ({"state_id": [b"s"]}, {}, "line 1: .*bytes"),
        ({"id": [float("nan")]}, {}, "line 1"),
    ],
)
def test_unsuitable_tables_are_refused(
    columns: dict[str, Any], limits: dict[str, int], words: str
) -> None:
    """With what is wrong about them."""
    with pytest.raises(InvalidRequest, match=words):
        rows(columns, **limits)


def test_what_is_no_parquet_is_refused() -> None:
    """Whole, cut off, or damaged in the middle."""
    file = io.BytesIO()
    parquet.write_table(pa.table({"state_id": ["s" * 100] * 100}), file)
    whole = file.getvalue()
    damaged = whole[:8] + bytes(20) + whole[28:]
    for body in (b"", b"PAR1", whole[: len(whole) // 2], damaged):
        with pytest.raises(InvalidRequest, match="cannot be read"):
            list(rows_of(io.BytesIO(body), 1000, 10**6))
