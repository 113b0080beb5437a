"""Files of scored selections as they exist are read, and each mistake has a code of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import DatasetError
from trainer.pointer.beams import beams_of, load_beams

_ONE: dict[str, Any] = {
    "id_list": [[4, 1], [1, 4], [0, 2], [3, 4], [2, 3]],
    "score_list": [0.046, 0.045, 0.037, 0.035, 0.030],
}
_OTHER: dict[str, Any] = {"id_list": [[1, 2], [2, 1]], "score_list": [-3.5, -4]}


@pytest.mark.parametrize(
    "data",
    [
        {"17": _ONE, "23": _OTHER},
        [{"17": _ONE}, {"23": _OTHER}],
        [{"query_id": "17", **_ONE}, {"query_id": 23, **_OTHER}],
        [{"id": 17, **_ONE}, {"id": 23, **_OTHER}],
    ],
)
def test_every_form_is_read(tmp_path: Path, data: object) -> None:
    """By query, a list of such, and rows that name their query; from a file and from Python."""
    (file := tmp_path / "beams.json").write_text(json.dumps(data))
    for groups in (load_beams(file, 5), beams_of(data, 5), beams_of(data)):
        assert [one.query_id for one in groups] == ["17", "23"]
        assert [one.tokens for one in groups[0].candidates] == [tuple(p) for p in _ONE["id_list"]]
        assert [one.scored.score for one in groups[1].candidates] == [-3.5, -4.0]


def test_rows_without_a_name_are_named_by_their_order() -> None:
    """From 0 on, as the rows of their embeddings are."""
    assert [one.query_id for one in beams_of([_ONE, _OTHER])] == ["0", "1"]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"score_list": [1, 2]}, "score_length", "score_list has length 2, id_list has length 5"),
        ({"score_list": [1, 2, float("nan"), 4, 5]}, "not_finite", "candidate 3: nan"),
        ({"id_list": [[4, 1], [9, 4], [0, 2], [3, 4], [2, 3]]}, "unknown_candidate", "no item 9"),
        ({"id_list": [[4, 1], [-1, 4], [0, 2], [3, 4], [2, 3]]}, "unknown_candidate", "no item -1"),
        ({"id_list": [[4, 4], [1, 4], [0, 2], [3, 4], [2, 3]]}, "repeated_candidate", "4 occurs"),
        ({"id_list": [[4, 1], [4, 1], [0, 2], [3, 4], [2, 3]]}, "repeated_candidate", "[4, 1]"),
        ({"id_list": ["a", "b", "c", "d", "e"]}, "not_a_dataset", "not texts"),
        ({"id_list": [[4, 1]], "score_list": [1]}, "not_a_dataset", "one candidate"),
    ],
)
def test_a_wrong_query_is_named(change: dict[str, Any], code: str, message: str) -> None:
    """With what is wrong in it, and a code that programs may rely on."""
    with pytest.raises(DatasetError, match="query '17'") as caught:
        beams_of({"23": _OTHER, "17": {**_ONE, **change}}, 5)
    assert caught.value.code == code
    assert message in caught.value.message


def test_a_query_stands_once() -> None:
    """The embeddings of two could not be told apart."""
    with pytest.raises(DatasetError, match="'7' is given more than once") as caught:
        beams_of([{"7": _ONE}, {"7": _OTHER}])
    assert caught.value.code == "repeated_query"


@pytest.mark.parametrize("data", [{}, [], 7, {"a": 1}])
def test_what_holds_no_queries_is_refused(data: object) -> None:
    """As an error of ours, whatever Python value it is."""
    with pytest.raises(DatasetError):
        beams_of(data)
