"""Scored selections from a pool: the format of their files, and the errors for wrong ones.

A query's candidates are sequences of positions in the pool. A file may have these forms:
``{query id: {"id_list": [[…], …], "score_list": […]}}``, a list of these, or a list of rows with
``query_id``, ``id_list`` and ``score_list``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import DatasetError
from trainer.data.prompts import dataset_files, read_records, rows_by_query
from trainer.offline.candidates import (
    Candidate,
    CandidateGroup,
    check_comparable,
    listed_candidates,
)

__all__ = ["BeamGroup", "beams_of", "load_beams"]


@dataclass(frozen=True)
class BeamGroup(CandidateGroup):
    """The scored selections for a query; a candidate's ``tokens`` are positions in the pool."""

    query_id: str = ""
    number: int = 0
    """Number of the query in the order of the file, from 0."""


def load_beams(path: str | Path, pool_size: int) -> list[BeamGroup]:
    """The scored selections in a file, or in a folder of files.

    Args:
        path: JSON, JSONL or Parquet.
        pool_size: Number of items in the pool.

    Raises:
        DatasetError: A file cannot be read, or a query is wrong: the message names the file and
            the query.
    """
    records = [
        (record, f"{file}, row {number}")
        for file in dataset_files(path)
        for number, record in enumerate(read_records(file), start=1)
    ]
    return _groups(records, pool_size)


def beams_of(data: object, pool_size: int | None = None) -> list[BeamGroup]:
    """The scored selections in parsed JSON.

    Args:
        data: The result of ``json.load``, in one of the forms.
        pool_size: Number of items in the pool; None if unknown.

    Raises:
        DatasetError: A query is wrong.

    >>> data = {"q7": {"id_list": [[3, 1], [0, 2]], "score_list": [0.5, 0.25]}}
    >>> [(one.query_id, [c.tokens for c in one.candidates]) for one in beams_of(data)]
    [('q7', [(3, 1), (0, 2)])]
    """
    try:
        rows = rows_by_query(data)
    except ValueError as exc:
        raise DatasetError(f"not scored candidates: {exc}") from exc
    records = [(record, f"row {number}") for number, record in enumerate(rows, start=1)]
    return _groups(records, pool_size)


def _groups(records: Sequence[tuple[object, str]], pool_size: int | None) -> list[BeamGroup]:
    if not records:
        raise DatasetError("there are no queries")
    groups = [
        _group(record, place, where, pool_size) for place, (record, where) in enumerate(records)
    ]
    counted = Counter(group.query_id for group in groups)
    if twice := [query for query, count in counted.items() if count > 1]:
        raise DatasetError(f"the query {twice[0]!r} is given more than once", "repeated_query")
    return groups


def _group(record: object, place: int, where: str, pool_size: int | None) -> BeamGroup:
    if not isinstance(record, dict):
        raise DatasetError(f"{where}: expected an object, got {type(record).__name__}")
    query = record.get("query_id", record.get("id"))
    name = str(place if query is None else query)
    at = where if query is None else f"{where}, query {name!r}"
    candidates = listed_candidates(record, at)
    check_comparable(candidates, at)
    for number, one in enumerate(candidates, start=1):
        _check_places(one, f"{at}: id_list, candidate {number}", pool_size)
    counted = Counter(one.tokens for one in candidates)
    if twice := [places for places, count in counted.items() if count > 1]:
        raise DatasetError(
            f"{at}: the candidate {list(twice[0] or ())} is given more than once; give it once",
            "repeated_candidate",
        )
    return BeamGroup((), candidates, at, name, place)


def _check_places(candidate: Candidate, where: str, pool_size: int | None) -> None:
    places = candidate.tokens
    if places is None:
        raise DatasetError(
            f"{where}: a pointer chooses positions in the pool, not texts; leave out --policy "
            "pointer to train a language model on texts"
        )
    if len(set(places)) < len(places):
        twice = next(one for one in places if places.count(one) > 1)
        raise DatasetError(
            f"{where}: {twice} occurs more than once, but an item can be picked only once",
            "repeated_candidate",
        )
    beyond = [one for one in places if one < 0 or (pool_size is not None and one >= pool_size)]
    if beyond:
        has = "positions begin at 0" if pool_size is None else f"the pool has 0 to {pool_size - 1}"
        raise DatasetError(f"{where}: there is no item {beyond[0]}; {has}", "unknown_candidate")
