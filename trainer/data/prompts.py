"""Reads prompts to train on from several kinds of files.

Owns the reading of rows and the column names of other datasets. Knows nothing of states or
simulations: the reward service decides whether a state can be scored.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared.dataset import DatasetLayout, Manifest, Message
from shared.decisions import Extend
from shared.errors import DatasetError
from shared.language.completions import render_completion
from shared.language.prompts import PromptForm, in_words, system_prompt
from trainer.data.rows import SOLVE, as_messages, as_table, check_difficulty, check_row
from trainer.earlier import note_earlier

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "REQUIRED_COLUMNS",
    "as_asked",
    "check_difficulties",
    "dataset_files",
    "load_grpo_dataset",
    "prompt_extend_s",
    "read_records",
    "read_rows",
    "rows_by_query",
]

REQUIRED_COLUMNS = ("prompt", "state_id", "tls_id", "decision_kind")
"""Columns that a row needs to be scored; all others are kept as they are."""

_SUFFIXES = (".json", ".jsonl", ".parquet")
_RENAMED = {
    "current_green_elapsed": "elapsed_green_s",
    "min_green": "min_green_s",
    "max_green": "max_green_s",
    "tl_id": "tls_id",
    "junction_id": "tls_id",
}
_KINDS_WITH_YES = {"extend", "plan"}
_EXAMPLES = [
    {"role": "user", "content": '{"phases":{"0":{"queued":9},"2":{"queued":1}},"current_phase":0}'},
    {"role": "assistant", "content": render_completion(Extend(extend=True))},
    {"role": "user", "content": '{"phases":{"0":{"queued":1},"2":{"queued":9}},"current_phase":0}'},
    {"role": "assistant", "content": render_completion(Extend(extend=False))},
]
"""Minimal states in which the answer is obvious."""


def load_grpo_dataset(
    path: str | Path | None = None, *, dataset_path: str | Path | None = None
) -> "Dataset":
    """Reads the rows to train on: ``prompt`` as messages, and all other columns.

    A prompt that is a text says nowhere in which form to answer: the system prompt
    (``SYSTEM_PROMPT`` for *extend*) is put before it.

    Args:
        path: A JSON, JSONL or Parquet file; a dataset folder from ``greenfork dataset build`` (its
            ``train`` rows); or a folder with any of these, at any depth.
        dataset_path: The earlier name of ``path``.

    Raises:
        TypeError: The path is given twice, or not at all.
        DatasetError: There is no dataset, a file does not have the format of its suffix, or a row
            lacks a column; the message names the file, the row and the column.
    """
    if dataset_path is not None:
        note_earlier("dataset_path", "path")
    given = [one for one in (path, dataset_path) if one is not None]
    if len(given) != 1:
        raise TypeError("load_grpo_dataset() takes one path")
    rows = []
    for file in dataset_files(given[0]):
        found = list(read_rows(file))
        if not found:
            raise DatasetError(f"{file} has no rows: build them, or remove the file")
        rows += found
    return as_table(rows)


def prompt_extend_s(path: str | Path) -> int | None:
    """The seconds that a *yes* adds according to the prompts; None if they are not recorded.

    They are recorded in the manifest next to a file of rows. Rows without a *yes*, such as *phase*
    decisions, do not count.

    Args:
        path: As in :func:`load_grpo_dataset`.

    Raises:
        DatasetError: There is no dataset, a manifest is invalid, or files disagree.
    """
    said = {
        file: _manifest(file).build.extend_s
        for file in dataset_files(path)
        if _manifest_file(file).is_file() and _asks_for_yes(file)
    }
    if len(set(said.values())) > 1:
        each = ", ".join(f"{file} {seconds}" for file, seconds in said.items())
        raise DatasetError(
            f"the prompts in {path} disagree on the seconds that a yes adds: {each}. Train on them "
            "separately, or rebuild them with the same --extend-seconds"
        )
    return next(iter(said.values()), None)


def _manifest_file(rows: Path) -> Path:
    return DatasetLayout(rows.parent).manifest


def _manifest(rows: Path) -> Manifest:
    file = _manifest_file(rows)
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as exc:
        raise DatasetError(f"{file} is not a dataset's manifest: {exc}") from exc


def _asks_for_yes(rows: Path) -> bool:
    return any(row["decision_kind"] in _KINDS_WITH_YES for row in read_rows(rows))


def as_asked(dataset: "Dataset", form: PromptForm, has_examples: bool) -> "Dataset":
    """The rows with the prompts as the model sees them.

    Prompts describe the state in words (:func:`shared.language.prompts.in_words`), or in the
    dataset's JSON, optionally with two answered examples before the last message. An example turn
    teaches a small chat model the answer format far better than a description in the system
    message; ``docs/training.md`` has figures.

    Raises:
        DatasetError: A row cannot be put into words, because it does not ask for *extend* or its
            prompt is not ours.
    """
    from datasets import Dataset

    if form == "json" and not has_examples:
        return dataset
    rows = dataset.to_list()
    for row in rows:
        if form == "words":
            told = in_words([Message.model_validate(message) for message in row["prompt"]])
            row["prompt"] = [message.model_dump() for message in told]
        else:
            row["prompt"] = [*row["prompt"][:-1], *_EXAMPLES, row["prompt"][-1]]
    return Dataset.from_list(rows)


def dataset_files(path: str | Path) -> list[Path]:
    """The files to read, in a stable order; see :func:`load_grpo_dataset`.

    Raises:
        DatasetError: There is no readable dataset.
    """
    root = Path(path)
    if not str(path) or not root.exists():
        raise DatasetError(f"no dataset at {str(path)!r}: give a file or a folder (dataset_path)")
    if root.is_file():
        if root.suffix not in _SUFFIXES:
            raise DatasetError(f"{root} is not a {' or '.join(_SUFFIXES)} file")
        return [root]
    if own := _train_file(root):
        return [own]
    found = [file for folder in _folders(root) for file in _folder_files(folder)]
    if not found:
        raise DatasetError(
            f"the folder {root} contains no dataset: no train.jsonl, train.parquet, "
            f"grpo_dataset.json or other {', '.join(_SUFFIXES)} file"
        )
    return found


def _train_file(folder: Path) -> Path | None:
    jsonl = DatasetLayout(folder).rows("train")
    return next((f for f in (jsonl, jsonl.with_suffix(".parquet")) if f.is_file()), None)


def _folders(root: Path) -> list[Path]:
    """``root`` and its subfolders, except those of a dataset (states, scenario)."""
    inside: list[Path] = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        inside += [folder] if _train_file(folder) else _folders(folder)
    return [root, *inside]


def _folder_files(folder: Path) -> list[Path]:
    """The files to read in a folder: its training rows, or all supported files."""
    if own := _train_file(folder):
        return [own]
    if (named := folder / "grpo_dataset.json").is_file():
        return [named]
    skip = {"manifest.json", "eval.jsonl", "eval.parquet"}
    return sorted(f for f in folder.iterdir() if f.suffix in _SUFFIXES and f.name not in skip)


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON, JSONL or Parquet file, with our column names; all columns are kept.

    Raises:
        DatasetError: The file cannot be read, or a row lacks a column.
    """
    for number, record in enumerate(read_records(file), start=1):
        yield _row(record, f"{file}, row {number}")


def check_difficulties(path: str | Path) -> None:
    """Checks that every row has a usable difficulty.

    Raises:
        DatasetError: One does not; the message names the file, the row and the column.
    """
    for file in dataset_files(path):
        for number, row in enumerate(read_rows(file), start=1):
            check_difficulty(row, f"{file}, row {number}")


def read_records(file: Path) -> list[Any]:
    """The records of a JSON, JSONL or Parquet file, unchecked.

    Raises:
        DatasetError: The file cannot be read.
    """
    try:
        return _read(file)
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise DatasetError(
            f"{file} is not a {file.suffix[1:]} dataset: line {line}, byte "
            f"{exc.object[exc.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from exc
    except RecursionError as exc:
        raise DatasetError(f"{file} is nested too deeply") from exc
    except (OSError, ValueError, TypeError, NotImplementedError) as exc:
        raise DatasetError(f"{file} is not a {file.suffix[1:]} dataset: {exc}") from exc


def _read(file: Path) -> list[Any]:
    if file.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(file)
        records: list[Any] = table.to_pylist()
        return records
    text = file.read_bytes().decode("utf-8-sig")
    if file.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), start=1)
        return [_parsed(line, number) for number, line in lines if line.strip()]
    value = json.loads(text)
    if isinstance(value, dict):
        value = value.get("data", value)
    return rows_by_query(value)


def rows_by_query(value: object) -> list[Any]:
    """The rows in JSON: a list of them, or ``{query id: {"id_list": …}}``, or a list of such.

    Raises:
        ValueError: It is none of these.

    >>> rows_by_query({"q": {"id_list": [[1], [2]]}})
    [{'query_id': 'q', 'id_list': [[1], [2]]}]
    """
    if by_query := _by_query(value):
        return list(by_query)
    if not isinstance(value, list):
        raise ValueError("expected a list of rows")  # noqa: TRY004 - reported as DatasetError
    return [row for one in value for row in _by_query(one) or [one]]


def _by_query(value: object) -> list[dict[str, Any]]:
    """The rows of ``{query id: {"id_list": …, "score_list": …}}``; none of anything else."""
    if not isinstance(value, dict) or not value:
        return []
    if not all(isinstance(one, dict) and "id_list" in one for one in value.values()):
        return []
    return [{"query_id": str(query), **one} for query, one in value.items()]


def _parsed(line: str, number: int) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(line)
    except ValueError as exc:
        raise ValueError(f"line {number}: {exc}") from exc


def _problem_row(row: dict[str, Any], where: str) -> dict[str, Any]:
    """A row of another domain: its problem and its domain stand for a state and a signal."""
    if row.get("problem_id") is None:
        raise DatasetError(f"{where}: missing column(s) problem_id")
    return row | {
        "state_id": row["problem_id"],
        "tls_id": row["domain"],
        "decision_kind": SOLVE,
    }


def _row(record: object, where: str) -> dict[str, Any]:
    """A row with our column names.

    Raises:
        DatasetError: A column is missing or invalid.
    """
    if not isinstance(record, dict):
        raise DatasetError(f"{where}: expected an object, got {type(record).__name__}")
    row = {_RENAMED.get(str(name), str(name)): value for name, value in record.items()}
    if "state_file" in row:
        row.setdefault("state_id", Path(str(row["state_file"])).stem)
        row.setdefault("decision_kind", "extend")
    if row.get("domain") not in (None, "traffic"):
        row = _problem_row(row, where)
    if missing := [name for name in REQUIRED_COLUMNS if row.get(name) is None]:
        raise DatasetError(f"{where}: missing column(s) {', '.join(missing)}")
    is_text = isinstance(row["prompt"], str) and row["decision_kind"] != SOLVE
    row["prompt"] = as_messages(row["prompt"], where)
    check_row(row, where)
    if is_text:
        asked = {"role": "system", "content": system_prompt(row["decision_kind"])}
        row["prompt"] = [asked, *row["prompt"]]
    return row
