"""Scored answers to problems of other domains, as the candidates that ``train offline`` reads."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DatasetError
from shared.files import os_errors

__all__ = ["ScoredAnswer", "answered_rows", "scored_answers"]

_MIN_ANSWERS = 2


@dataclass(frozen=True)
class ScoredAnswer:
    """What a model said to a problem, and its reward."""

    problem_id: str
    text: str
    reward: float | None
    """None if it could not be scored."""


def scored_answers(answers: Path, scores: Path) -> list[ScoredAnswer]:
    """The lines that ``greenfork score`` read, with what it wrote for them.

    Args:
        answers: Its ``--input``: lines with ``problem_id`` and ``completion``; those of traffic
            are passed over.
        scores: Its ``--output``: a line for each.

    Raises:
        DatasetError: A file cannot be read, or they are not of the same run.
    """
    asked, found = _lines(answers), _lines(scores)
    if len(asked) != len(found):
        raise DatasetError(
            f"{answers} has {len(asked)} lines, but {scores} {len(found)}: give the --input and "
            "the --output of one greenfork score"
        )
    read = []
    for number, (item, result) in enumerate(zip(asked, found, strict=True), start=1):
        if item.get("id") != result.get("id"):
            raise DatasetError(
                f"line {number}: {answers} has the id {item.get('id')!r}, but {scores} "
                f"{result.get('id')!r}: give the --input and the --output of one greenfork score"
            )
        if "problem_id" in item:
            text, reward = item.get("completion"), result.get("reward")
            read.append(ScoredAnswer(str(item["problem_id"]), str(text or ""), reward))
    return read


def answered_rows(
    rows: Iterable[Mapping[str, Any]], answers: Sequence[ScoredAnswer]
) -> Iterator[dict[str, Any]]:
    """A query for each row with different answers to compare, the best first.

    Equal texts count once, and answers without a reward or without a text not at all.

    Args:
        rows: Of the dataset, with ``problem_id`` and ``prompt``.
        answers: To any problems.

    >>> said = [ScoredAnswer("p", "(a)", 0.5), ScoredAnswer("p", "(b)", 1)]
    >>> rows = [{"problem_id": name, "prompt": [], "plan": "(c)"} for name in "pq"]
    >>> list(answered_rows(rows, said))
    [{'problem_id': 'p', 'prompt': [], 'id_list': ['(b)', '(a)'], 'score_list': [1, 0.5]}]
    """
    by_problem: dict[str, dict[str, float]] = {}
    for one in answers:
        if one.reward is not None and one.text.strip():
            by_problem.setdefault(one.problem_id, {})[one.text] = one.reward
    for row in rows:
        known = by_problem.get(row["problem_id"], {})
        if len(known) >= _MIN_ANSWERS:
            best_first = sorted(known, key=lambda text: -known[text])
            yield {
                **{name: value for name, value in row.items() if name not in _OF_THE_REFERENCE},
                "id_list": best_first,
                "score_list": [known[text] for text in best_first],
            }


_OF_THE_REFERENCE = ("plan", "plan_steps")


def _lines(file: Path) -> list[dict[str, Any]]:
    with os_errors(DatasetError, f"cannot read {file}"):
        texts = file.read_bytes().splitlines()
    read = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError as exc:
            raise DatasetError(f"{file}, line {number}: {exc}") from exc
        if not isinstance(line, dict):
            raise DatasetError(f"{file}, line {number}: expected an object")
        read.append(line)
    return read
