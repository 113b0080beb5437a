"""Both forms of candidate files are read, and what is wrong is named by file, row and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import DatasetError
from trainer.offline.candidates import group_of, load_candidates

_METRICS = {
    "queue_veh_max": 9.0,
    "wait_s": 4.0,
    "throughput_veh": 3,
    "pressure_veh": 1.0,
    "network_queue_veh": 9.0,
}
_LISTS = {
    "prompt": [{"role": "user", "content": "Go?"}],
    "id_list": ["a", "b", "c", "d", "e"],
    "score_list": [5, 4.5, 3, 2, 1],
}


def _extend(is_yes: bool, seconds: int = 5) -> dict[str, object]:
    return {"kind": "extend", "extend": is_yes, "extend_s": seconds}


def _texts(record: dict[str, Any]) -> list[str | None]:
    return [candidate.text for candidate in group_of(record, "here").candidates]


def test_five_texts_with_scores_are_a_group() -> None:
    """The original form; whole numbers are scores as well."""
    group = group_of(_LISTS, "here")
    assert [one.text for one in group.candidates] == ["a", "b", "c", "d", "e"]
    assert [one.score for one in group.scored] == [5.0, 4.5, 3.0, 2.0, 1.0]
    assert group.prompt == ({"role": "user", "content": "Go?"},)


def test_a_query_is_a_prompt() -> None:
    """A text is one user message, under either name."""
    record = {**_LISTS, "query": "Go?"}
    del record["prompt"]
    assert group_of(record, "here").prompt == group_of(_LISTS, "here").prompt


def test_words_are_the_list_that_a_model_writes() -> None:
    """A plan of yes and no is then the completion that the service reads as a plan."""
    record = {**_LISTS, "id_list": [["yes", "no"], ["no", "no"]], "score_list": [1, 0]}
    assert _texts(record) == ['["yes", "no"]', '["no", "no"]']
    assert group_of(record, "here").scored[0].sequence == ("yes", "no")


def test_numbers_that_are_declared_are_token_ids() -> None:
    """They have no text."""
    record = {**_LISTS, "id_list": [[4, 5, 6], [7]], "score_list": [1, 0]}
    candidates = group_of(record, "here", has_token_ids=True).candidates
    assert [one.tokens for one in candidates] == [(4, 5, 6), (7,)]
    assert [one.text for one in candidates] == [None, None]


def test_numbers_that_nobody_declared_are_refused(tmp_path: Path) -> None:
    """Places in a pool would train a language model on whatever words have these numbers."""
    record = {**_LISTS, "id_list": [[4, 5, 6], [7]], "score_list": [1, 0]}
    with pytest.raises(DatasetError, match=r"here: .*--token-ids.*--policy pointer") as caught:
        group_of(record, "here")
    assert caught.value.code == "undeclared_token_ids"
    (file := tmp_path / "rows.json").write_text(json.dumps([record]))
    with pytest.raises(DatasetError, match="row 1: id_list holds numbers"):
        load_candidates(file)
    assert len(load_candidates(file, has_token_ids=True)) == 1


def test_a_file_by_query_without_prompts_is_a_selectors(tmp_path: Path) -> None:
    """It says what such a file is for; with a prompt in each, it is read."""
    lists = {"id_list": [["yes"], ["no"]], "score_list": [1, 0]}
    (file := tmp_path / "rows.json").write_text(json.dumps({"7": lists}))
    with pytest.raises(DatasetError, match=r"missing prompt .*--policy pointer"):
        load_candidates(file)
    file.write_text(json.dumps([{"7": {**lists, "prompt": "Go?"}}]))
    assert load_candidates(file)[0].prompt[0]["content"] == "Go?"


def test_closed_loop_figures_are_taken_along() -> None:
    """In the order of the candidates."""
    record = {**_LISTS, "task_list": [1, 2, 3, 4, 5]}
    assert [one.task for one in group_of(record, "here").scored] == [1, 2, 3, 4, 5]


def test_our_candidates_are_rendered_as_completions() -> None:
    """Their rewards are the scores; they win over an id_list beside them."""
    plan = {"kind": "plan", "steps": [{"extend": True}, {"extend": False}]}
    other = {"kind": "plan", "steps": [{"extend": False}, {"extend": False}]}
    candidates = [{"decision": plan, "reward": 0.5}, {"decision": other, "reward": -0.5}]
    group = group_of({**_LISTS, "candidates": candidates}, "here")
    assert [one.text for one in group.candidates] == ['["yes", "no"]', '["no", "no"]']
    assert [one.score for one in group.scored] == [0.5, -0.5]


def test_a_yes_says_its_seconds_only_where_candidates_differ_in_them() -> None:
    """Else they are the prompt's, and the model answers without them."""
    candidates = [{"decision": _extend(yes, 10), "reward": 1.0} for yes in (True, False)]
    record = {"prompt": "Go?", "candidates": candidates}
    assert _texts(record) == ['{"extend": "yes"}', '{"extend": "no"}']
    candidates[1]["decision"] = _extend(True, 20)
    assert _texts(record) == [
        '{"extend": "yes", "extend_sec": 10}',
        '{"extend": "yes", "extend_sec": 20}',
    ]


def test_outcomes_are_scored_by_their_metrics() -> None:
    """By the queue, or by what was asked for."""
    outcomes = [
        {"decision": _extend(yes), "metrics": {**_METRICS, "queue_veh": queue}}
        for yes, queue in ((True, 4.25), (False, 6.0))
    ]
    record = {"prompt": "Go?", "outcomes": outcomes}
    assert [one.score for one in group_of(record, "here").scored] == [-4.25, -6.0]
    assert [one.score for one in group_of(record, "here", "wait").scored] == [-4.0, -4.0]
    with pytest.raises(DatasetError, match=r"here: outcomes, 1: .* not enough for 'speed'"):
        group_of(record, "here", "speed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "row 1: missing prompt"),
        ({"prompt": 7}, "row 1: prompt must be"),
        ({"id_list": None}, "row 1: no candidates"),
        ({"id_list": "abc"}, "row 1: id_list must be a list"),
        ({"score_list": None}, "row 1: score_list must be a list"),
        ({"score_list": [1, 2]}, "row 1: score_list has length 2, id_list has length 5"),
        ({"score_list": [1, 2, "3", 4, 5]}, "score_list, candidate 3: '3' is not a finite number"),
        ({"score_list": [1, 2, 3, True, 5]}, "score_list, candidate 4: True"),
        ({"score_list": [1, 2, 3, 4, float("nan")]}, "score_list, candidate 5: nan"),
        ({"task_list": [1]}, "row 1: task_list has length 1, id_list has length 5"),
        ({"id_list": ["a", "b", [], "d", "e"]}, "id_list, candidate 3: expected"),
        ({"id_list": ["a", "b", [1, "x"], "d", "e"]}, "id_list, candidate 3: expected"),
        ({"id_list": ["a"], "score_list": [1]}, "row 1: one candidate cannot be compared"),
        ({"id_list": [], "score_list": []}, "row 1: an empty list cannot be compared"),
        ({"score_list": [5, 10**400, 3, 2, 1]}, "0000 is not a finite number"),
        ({"score_list": [5, 4, 1e200, 2, 1]}, "candidate 3 has the score 1e+200; scores are"),
        ({"task_list": [5, 4, 3, -2e9, 1]}, "candidate 4 has the score -2e"),
        ({"id_list": ["a", "\ud83d", "c", "d", "e"]}, "candidate 2: half of a surrogate pair"),
        ({"id_list": [["a"], ["\ude00"], "c", "d", "e"]}, "candidate 2: half of a surrogate"),
        ({"candidates": [{"decision": {"kind": "fly"}}]}, "row 1: candidates, 0.decision"),
        ({"candidates": [{"decision": _extend(True)}]}, "row 1: candidates, 0.reward"),
        ({"outcomes": [{"decision": _extend(True), "metrics": {}}]}, "row 1: outcomes, 0.metrics"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """With its file, its number, and the field."""
    file = tmp_path / "wrong.jsonl"
    file.write_text(json.dumps({**_LISTS, **change}))
    with pytest.raises(DatasetError) as caught:
        load_candidates(file)
    assert str(file) in caught.value.message
    assert message in caught.value.message


def test_a_row_that_is_no_object_is_named() -> None:
    """A list, say."""
    with pytest.raises(DatasetError, match="row 9: expected an object, got list"):
        group_of([1], "row 9")


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str) -> None:
    """Rows of both forms in one file: in a table, what a row lacks is null."""
    candidates = [{"decision": _extend(yes), "reward": 1.0} for yes in (True, False)]
    rows = [_LISTS, {"prompt": _LISTS["prompt"], "candidates": candidates}]
    file = tmp_path / f"rows.{suffix}"
    match suffix:
        case "json":
            file.write_text(json.dumps({"data": rows}))
        case "jsonl":
            file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case "parquet":
            import pyarrow
            import pyarrow.parquet

            wide = [dict.fromkeys(_LISTS | rows[1]) | row for row in rows]
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(wide), file)
    first, second = load_candidates(file)
    assert [len(group.candidates) for group in (first, second)] == [5, 2]
    assert second.candidates[1].text == '{"extend": "no"}'


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    """No file, and a file without rows."""
    with pytest.raises(DatasetError, match="no dataset at"):
        load_candidates(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DatasetError, match="has no rows"):
        load_candidates(tmp_path / "empty.jsonl")
