"""A pool is a text or a table, and its items are numbered as ids say."""

import json
from pathlib import Path

import pytest

from shared.errors import DatasetError
from trainer.pointer.pool import read_pool


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pool.txt", "left\nright\n"),
        ("pool.csv", "text,n\nleft,1\nright,2\n"),
        ("pool.tsv", "text\tn\nleft\t1\nright\t2\n"),
        ("pool.json", json.dumps(["left", "right"])),
        ("pool.jsonl", '{"text": "left", "id": 0}\n{"text": "right", "id": 1}\n'),
    ],
)
def test_items_are_read(tmp_path: Path, name: str, content: str) -> None:
    """By their places."""
    (tmp_path / name).write_text(content)
    pool = read_pool(tmp_path / name)
    assert (len(pool), pool.item(0), pool.item(1)) == (2, "left", "right")


def test_items_without_a_text_are_rows(tmp_path: Path) -> None:
    """All of their columns."""
    (tmp_path / "pool.csv").write_text("a,b\n1,2\n")
    assert read_pool(tmp_path / "pool.csv").item(0) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1}, {"id": 2}]', "row 0: its id is 1, but ids are positions"),
        ("[]", "no items"),
        ("[3]", "row 0: an item is"),
    ],
)
def test_a_pool_that_ids_do_not_number_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    """Each id would be off by one, and nobody would see it."""
    (tmp_path / "pool.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_pool(tmp_path / "pool.json")
