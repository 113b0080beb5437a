"""Rows out of files of several kinds."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.dataset import DatasetLayout
from shared.decisions import DecisionKind
from shared.errors import DatasetError
from shared.language.prompts import SYSTEM_PROMPT
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.data.prompts import as_asked, load_grpo_dataset, prompt_extend_s

USER = {"role": "user", "content": "{}"}
ROW: dict[str, Any] = {
    "prompt": [{"role": "system", "content": "You control."}, USER],
    "state_id": "net@60-0123456789ab",
    "tls_id": "A",
    "decision_kind": "extend",
    "difficulty": 0.25,
}


def save(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes rows in the form that the file's name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        from datasets import Dataset

        Dataset.from_list(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.parquet"])
def test_reads_a_file(tmp_path: Path, name: str) -> None:
    """Each format gives the same rows, metadata columns included."""
    file = save(tmp_path / name, [ROW, {**ROW, "difficulty": 0.5}])
    assert load_grpo_dataset(file).to_list() == [ROW, {**ROW, "difficulty": 0.5}]


def test_reads_the_training_rows_of_a_dataset(tmp_path: Path) -> None:
    """Of a dataset folder neither the evaluation rows nor the states' index are trained on."""
    save(tmp_path / "train.jsonl", [ROW])
    save(tmp_path / "eval.jsonl", [ROW, ROW])
    save(tmp_path / "states" / "index.jsonl", [{"state_id": "x"}])
    assert len(load_grpo_dataset(tmp_path)) == 1


def test_scans_a_folder(tmp_path: Path) -> None:
    """Datasets and files at any depth are joined; a missing column is null."""
    save(tmp_path / "a" / "train.jsonl", [ROW])
    save(tmp_path / "a" / "eval.jsonl", [ROW])
    save(tmp_path / "b" / "c" / "more.json", [{**ROW, "source": "b"}])
    rows = load_grpo_dataset(tmp_path)
    assert rows["source"] == [None, "b"]


def test_understands_the_columns_of_earlier_scripts(tmp_path: Path) -> None:
    """``grpo_dataset.json`` with its own names, a text as prompt, and a state by its file."""
    row = {
        "prompt": "Extend?",
        "state_file": "states/net@60-0123456789ab.xml",
        "tl_id": "A",
        "current_green_elapsed": 12,
        "min_green": 5,
        "max_green": 60,
    }
    save(tmp_path / "scenario1" / "grpo_dataset.json", [row])
    save(tmp_path / "scenario1" / "notes.json", [{"unrelated": True}])
    assert load_grpo_dataset(tmp_path).to_list() == [
        {
            "prompt": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": "Extend?"},
            ],
            "state_file": "states/net@60-0123456789ab.xml",
            "state_id": "net@60-0123456789ab",
            "tls_id": "A",
            "decision_kind": "extend",
            "elapsed_green_s": 12,
            "min_green_s": 5,
            "max_green_s": 60,
        }
    ]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """With the file and the row."""
    row = {"prompt": [USER], "tls_id": "A"}
    file = save(tmp_path / "rows.jsonl", [ROW, row])
    with pytest.raises(DatasetError, match=r"rows\.jsonl, row 2: .* state_id, decision_kind"):
        load_grpo_dataset(file)


@pytest.mark.parametrize("prompt", [[], 5, [{"role": "user"}], [{"role": "robot", "content": ""}]])
def test_prompt_that_is_none(tmp_path: Path, prompt: object) -> None:
    """Anything but a text or messages is refused."""
    file = save(tmp_path / "rows.json", [{**ROW, "prompt": prompt}])
    with pytest.raises(DatasetError, match=r"row 1: prompt"):
        load_grpo_dataset(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b"{}\n\xff", "line 2, byte 0xff is not UTF-8"),
        ("rows.jsonl", b'{"prompt":', "not a jsonl dataset"),
        ("rows.jsonl", b"5\n", "row 1: expected an object"),
        ("rows.json", b'{"a": 1}', "expected a list of rows"),
        ("rows.parquet", b"nothing", "not a parquet dataset"),
        ("rows.csv", b"a,b\n", "is not a"),
        ("rows.json", b"[]", "has no rows"),
    ],
)
def test_file_that_is_no_dataset(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Says which file and why."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_grpo_dataset(file)


def test_nothing_there(tmp_path: Path) -> None:
    """A path that does not exist, and a folder without datasets."""
    with pytest.raises(DatasetError, match="no dataset at"):
        load_grpo_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="contains no dataset"):
        load_grpo_dataset(tmp_path)
    with pytest.raises(DatasetError, match="give a file or a folder"):
        load_grpo_dataset("")


def test_seconds_are_unknown_without_a_manifest(tmp_path: Path) -> None:
    """A bare file of rows says nothing about seconds; a broken manifest is an error."""
    save(tmp_path / "train.jsonl", [ROW])
    assert prompt_extend_s(tmp_path) is None
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DatasetError, match="not a dataset's manifest"):
        prompt_extend_s(tmp_path)


def built(root: Path, extend_s: int, kind: DecisionKind = "extend") -> Path:
    """A dataset with a manifest; the rows to train on."""
    layout = DatasetLayout(save_dataset(root, [Moment(kind=kind)], extend_s=extend_s))
    return layout.rows("eval").rename(layout.rows("train"))


def test_seconds_are_those_of_the_manifest_beside_the_rows(tmp_path: Path) -> None:
    """Whether the file, its dataset, or a folder of datasets is given."""
    file = built(tmp_path / "a", extend_s=10)
    assert [prompt_extend_s(path) for path in (file, tmp_path / "a", tmp_path)] == [10, 10, 10]


def test_datasets_of_different_seconds(tmp_path: Path) -> None:
    """One setting cannot fit both; rows of phases have no yes that seconds could be added by."""
    built(tmp_path / "a", extend_s=10)
    built(tmp_path / "b", extend_s=5, kind="phase")
    assert prompt_extend_s(tmp_path) == 10
    built(tmp_path / "c", extend_s=5)
    with pytest.raises(DatasetError, match=r"a/train\.jsonl 10, .*c/train\.jsonl 5\. Train"):
        prompt_extend_s(tmp_path)


def test_examples_stand_before_the_question(tmp_path: Path) -> None:
    """The system message stays first, the state last, and one example of each answer between."""
    dataset = as_asked(
        load_grpo_dataset(save(tmp_path / "rows.json", [ROW])), "json", has_examples=True
    )
    prompt = dataset[0]["prompt"]
    assert [message["role"] for message in prompt] == [
        *("system", "user", "assistant", "user", "assistant", "user")
    ]
    assert [prompt[2]["content"], prompt[4]["content"], prompt[5]] == [
        '{"extend": "yes"}',
        '{"extend": "no"}',
        USER,
    ]


def test_states_are_said_in_words(tmp_path: Path) -> None:
    """Every row's, with its other columns; what cannot be is refused."""
    moments = [Moment(queued=(3, 1)), Moment(queued=(0, 8))]
    dataset = load_grpo_dataset(save_dataset(tmp_path, moments) / "eval.jsonl")

    told = as_asked(dataset, "words", has_examples=False)

    assert [row["prompt"][-1]["content"].partition(",")[0] for row in told] == [
        "Green now: phase 0",
        "Green now: phase 0",
    ]
    assert told["state_id"] == dataset["state_id"]
    with pytest.raises(DatasetError, match="not in the form"):
        as_asked(
            load_grpo_dataset(save(tmp_path / "rows.json", [ROW])), "words", has_examples=False
        )


def test_a_model_gets_the_prompts_that_it_was_taught_with(tmp_path: Path) -> None:
    """JSON as it is, JSON after examples, or words."""
    dataset = load_grpo_dataset(save_dataset(tmp_path, [Moment(queued=(3, 1))]) / "eval.jsonl")

    assert as_asked(dataset, "json", has_examples=False) is dataset
    assert len(as_asked(dataset, "json", has_examples=True)[0]["prompt"]) == 6
    told = as_asked(dataset, "words", has_examples=False)[0]["prompt"]
    assert told[-1]["content"].startswith("Green now: phase 0, 3 queued")
