"""Decision points to teach from, read from dataset folders and files of rows.

Owns which rows are held out for the check of the answer format. The point of a row from a dataset
folder knows the signal's program and the state file; any other point knows only its row.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.dataset import DatasetLayout, Message, Outcome
from shared.language.completion_items import Situation
from shared.validation import without_nulls
from trainer.data.prompts import load_grpo_dataset
from trainer.data.rows import row_error
from trainer.evaluation.points import DecisionPoint, read_points

__all__ = ["LessonRows", "read_lesson_rows"]

_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class LessonRows:
    """The rows to teach from, and those held out to check what was learned."""

    train: tuple[DecisionPoint, ...]
    held_out: tuple[DecisionPoint, ...]


def read_lesson_rows(path: str, check_rows: int, seed: int) -> LessonRows:
    """The rows of a dataset to teach from, and those to check on.

    Args:
        path: A dataset folder, a file of rows, or a folder of such.
        check_rows: Maximum number of rows to hold out: ``eval`` rows of dataset folders if there
            are any, otherwise up to a tenth of the rows.
        seed: Decides which rows are held out.

    Raises:
        DatasetError: There is no dataset, or a row is invalid.
    """
    folders = _dataset_folders(Path(path)) if path else []
    if not folders:
        return _split(_points_of_files(path), check_rows, seed)
    train = read_points(folders, "train")
    held_out = _sample(_eval_points(folders), check_rows, seed)
    return LessonRows(train, held_out) if held_out else _split(train, check_rows, seed)


def _split(points: tuple[DecisionPoint, ...], check_rows: int, seed: int) -> LessonRows:
    """Holds out rows, though of simulations that are also trained on: better than nothing."""
    held_out = _sample(points, min(check_rows, int(len(points) * _HELD_OUT_SHARE)), seed)
    places = {point.place for point in held_out}
    return LessonRows(tuple(p for p in points if p.place not in places), held_out)


def _sample(points: tuple[DecisionPoint, ...], rows: int, seed: int) -> tuple[DecisionPoint, ...]:
    chance = random.Random(seed)  # noqa: S311 - no secret
    return tuple(chance.sample(points, min(rows, len(points))))


def _dataset_folders(root: Path) -> list[Path]:
    """The dataset folders at or below ``root``; none if it is a file."""
    if DatasetLayout(root).manifest.is_file():
        return [root]
    inside = sorted(folder for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else []
    return [found for folder in inside for found in _dataset_folders(folder)]


def _eval_points(folders: list[Path]) -> tuple[DecisionPoint, ...]:
    files = [DatasetLayout(folder).rows("eval") for folder in folders]
    with_rows = [
        folder
        for folder, file in zip(folders, files, strict=True)
        if any(f.is_file() and f.stat().st_size for f in (file, file.with_suffix(".parquet")))
    ]
    return read_points(with_rows, "eval") if with_rows else ()


def _points_of_files(path: str) -> tuple[DecisionPoint, ...]:
    return tuple(
        _point(row, f"{path}, row {number}")
        for number, row in enumerate(load_grpo_dataset(path).to_list(), start=1)
    )


def _point(row: Mapping[str, Any], where: str) -> DecisionPoint:
    row = without_nulls(row)
    try:
        outcomes = row.get("outcomes")
        return DecisionPoint(
            prompt=tuple(Message.model_validate(message) for message in row["prompt"]),
            place=Situation.model_validate(dict(row)),
            domain=str(row.get("scenario", "")),
            run=where,
            state_file=Path(where),
            outcomes=outcomes and tuple(Outcome.model_validate(one) for one in outcomes),
        )
    except ValidationError as exc:
        raise row_error(exc, where) from exc
