"""Every row is looked at: types, kinds, and names that the trainer uses itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import DatasetError
from trainer.data.prompts import check_difficulties, load_grpo_dataset
from trainer.data.rows import as_table, without_reserved

ROW: dict[str, Any] = {
    "prompt": [{"role": "system", "content": "You control."}, {"role": "user", "content": "{}"}],
    "state_id": "net@60-0123456789ab",
    "tls_id": "A",
    "decision_kind": "extend",
}


def save(path: Path, *rows: dict[str, Any], head: bytes = b"") -> Path:
    """A file of rows, one per line."""
    path.write_bytes(head + "".join(json.dumps(row) + "\n" for row in rows).encode())
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state_id": 60}, "state_id must be text, not 60"),
        ({"state_id": " "}, "state_id is not a valid id"),
        ({"tls_id": 12}, "tls_id must be text, not 12"),
        ({"tls_id": ["A"]}, "tls_id must be text"),
        ({"tls_id": "A\udc00"}, "tls_id is not a valid id"),
        ({"decision_kind": "EXTEND"}, "decision_kind is 'EXTEND'; use one of extend, phase"),
        ({"decision_kind": ["extend"]}, "decision_kind is"),
        ({"prompt": ""}, "message of the prompt is empty"),
        ({"prompt": [{"role": "user", "content": " \n"}]}, "message of the prompt is empty"),
        ({"prompt": {"role": "user"}}, "must be a string or a list"),
        ({"prompt": ["hello"]}, "message 1 must be {role, content}"),
        ({"prompt": [{"role": "developer", "content": "x"}]}, "message 1: role .*; write system"),
        ({"prompt": [ROW["prompt"][0], {"role": "user", "content": []}]}, "message 2: content"),
        ({"prompt": [{"role": "user", "content": "\ud83d"}]}, "half a surrogate pair"),
        ({"scenario": 3}, "scenario must be text, not 3"),
        ({"problem_file": ["x"]}, "problem_file must be text"),
        ({"outcomes": {"yes": 1}}, "outcomes must be a list of objects"),
    ],
)
def test_wrong_row_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """With file, row, column and value, wherever it stands."""
    for rows in ([ROW, ROW | change], [ROW | change, ROW]):
        file = save(tmp_path / "rows.jsonl", *rows)
        number = rows.index(ROW | change) + 1
        with pytest.raises(DatasetError, match=rf"rows\.jsonl, row {number}: .*{said}"):
            load_grpo_dataset(file)


def test_difficulty_is_a_number_where_rows_are_sorted_by_it(tmp_path: Path) -> None:
    """Elsewhere it may be what its makers like; a row without any is sorted by its prompt."""
    wrong = [ROW | {"difficulty": value} for value in ("hard", True, float("inf"))]
    for row in wrong:
        file = save(tmp_path / "rows.jsonl", ROW | {"difficulty": 0.5}, ROW, row)
        load_grpo_dataset(file)
        with pytest.raises(DatasetError, match=r"row 3: difficulty must be a number"):
            check_difficulties(file)
    check_difficulties(save(tmp_path / "rows.jsonl", ROW | {"difficulty": 1}, ROW))


@pytest.mark.parametrize(
    "values",
    [
        [1, "one", None],
        [["x"], "x", None],
        [10**30, 1, None],
        [{"a": 1}, {"a": "b"}, None],
        ["\ud83d", "x", None],
    ],
)
def test_column_of_several_types_is_kept_as_json(tmp_path: Path, values: list[Any]) -> None:
    """Of every row, and it is said; what has no value has none."""
    file = save(tmp_path / "rows.jsonl", *(ROW | {"note": value} for value in values))
    with capture_logs() as lines:
        found = load_grpo_dataset(file)["note"]
    assert [None if one is None else json.loads(one) for one in found] == values
    assert [line["column"] for line in lines] == ["note"]


def test_outcomes_of_several_types_are_refused() -> None:
    """They are read, and would be texts."""
    with pytest.raises(DatasetError, match="column outcomes"):
        as_table([ROW | {"outcomes": [{"a": 1}]}, ROW | {"outcomes": [{"a": "b"}]}])


def test_names_that_the_trainer_uses_are_left_out_and_said() -> None:
    """Whatever they hold; all others stay."""
    more = {"completion": "x", "prompts": "y", "images": [], "log_metric": 1, "mine": 1}
    with capture_logs() as lines:
        kept = without_reserved(as_table([ROW | more]))
    assert kept.column_names == [*ROW, "mine"]
    assert lines[0]["columns"] == ["completion", "prompts", "images", "log_metric"]


def test_mark_of_utf_8_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    """Windows puts it there."""
    file = save(tmp_path / "rows.jsonl", ROW, head=b"\xef\xbb\xbf")
    assert load_grpo_dataset(file)["state_id"] == [ROW["state_id"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"prompt": "caf\xe9"}', "line 1, byte 0xe9 is not UTF-8"),
        (b'{}\n{"prompt": }', "line 2: Expecting value"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_line_that_is_none_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    """By its number in the file."""
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        load_grpo_dataset(file)


def test_file_without_rows_is_named(tmp_path: Path) -> None:
    """Among others it would be a scenario that nobody trains on."""
    for name in "ab":
        (tmp_path / name).mkdir()
    save(tmp_path / "a" / "train.jsonl", ROW)
    empty = save(tmp_path / "b" / "train.jsonl")
    with pytest.raises(DatasetError, match=rf"{empty} has no rows"):
        load_grpo_dataset(tmp_path)
