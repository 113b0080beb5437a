"""Which rows are taught and which are held out."""

import json
from pathlib import Path

import pytest

from shared.errors import DatasetError
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import save_lessons
from trainer.sft.rows import read_lesson_rows


def test_rows_of_the_eval_split_are_held_out(tmp_path: Path) -> None:
    """They were put aside when the dataset was built."""
    save_lessons(tmp_path / "a", [Moment() for _ in range(6)], eval_rows=2)

    rows = read_lesson_rows(str(tmp_path), check_rows=500, seed=1)

    assert [len(rows.train), len(rows.held_out)] == [4, 2]
    assert len(read_lesson_rows(str(tmp_path), check_rows=1, seed=1).held_out) == 1


def test_without_an_eval_split_a_tenth_is_held_out_and_not_taught(tmp_path: Path) -> None:
    """No row is in both parts."""
    save_lessons(tmp_path, [Moment() for _ in range(30)])

    rows = read_lesson_rows(str(tmp_path), check_rows=500, seed=1)

    taught, kept = (
        {point.place.state_id for point in part} for part in (rows.train, rows.held_out)
    )
    assert [len(taught), len(kept)] == [27, 3]
    assert not taught & kept


def test_nothing_is_held_out_where_nothing_is_checked(tmp_path: Path) -> None:
    """All rows are taught."""
    save_lessons(tmp_path, [Moment() for _ in range(30)])

    rows = read_lesson_rows(str(tmp_path), check_rows=0, seed=1)

    assert [len(rows.train), len(rows.held_out)] == [30, 0]


def test_a_file_of_rows_will_do(tmp_path: Path) -> None:
    """Outcomes are read from it; what a folder would know besides is not known."""
    save_lessons(tmp_path / "a", [Moment(), Moment(yes_veh=None)])
    lines = (tmp_path / "a" / "train.jsonl").read_text().splitlines()
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([json.loads(line) for line in lines]))

    points = read_lesson_rows(str(file), check_rows=500, seed=1).train

    assert [point.outcomes is not None for point in points] == [True, False]
    assert [point.greens for point in points] == [None, None]


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    """With what is wrong with it."""
    file = tmp_path / "rows.jsonl"
    row = {"prompt": "?", "state_id": "a@1-00", "tls_id": "C", "decision_kind": "extent"}
    file.write_text(json.dumps(row))

    with pytest.raises(DatasetError, match=r"row 1: decision_kind is 'extent'; use one"):
        read_lesson_rows(str(file), check_rows=0, seed=1)


def test_a_missing_dataset_is_said(tmp_path: Path) -> None:
    """So is one that was not given."""
    for path in (str(tmp_path / "nowhere"), ""):
        with pytest.raises(DatasetError, match="no dataset at"):
            read_lesson_rows(path, check_rows=0, seed=1)
