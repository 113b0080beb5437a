"""Reads scored candidates from files.

Owns the formats that a row may have, and the messages about rows in none of them. A row is one
query:

- ``prompt`` (or ``query``): a text or messages;
- either ``id_list`` and ``score_list``, with ``task_list`` if closed-loop figures were computed;
- or ``candidates``: decisions with rewards, as ``greenfork dataset plans`` writes them;
- or ``outcomes``: decisions with metrics, as ``greenfork dataset build --outcomes`` writes them.

If a row has several of these, ``candidates`` takes precedence over ``outcomes``, and ``outcomes``
over ``id_list``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never

from pydantic import TypeAdapter, ValidationError

from shared.candidates import ScoredDecision
from shared.dataset import Outcome
from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.errors import DatasetError
from shared.language.completions import render_completion
from shared.language.surrogates import HALF_PAIR, mark_half_pairs
from shared.validation import without_nulls
from trainer.data.prompts import dataset_files, read_records
from trainer.data.rows import as_messages, is_finite, row_error
from trainer.evaluation.worth import stored_reward
from trainer.offline.levels import ScoredSequence

__all__ = [
    "Candidate",
    "CandidateGroup",
    "MetricsReward",
    "check_comparable",
    "group_of",
    "listed_candidates",
    "load_candidates",
]

MetricsReward = Literal["queue", "wait", "pressure", "speed", "delay"]
"""The rewards that can be computed from the metrics of a single rollout."""

_MIN_CANDIDATES = 2
_MAX_SEEN_CHARS = 40
_GREATEST_SCORE = 1e9
"""No traffic outcome scores beyond plus or minus this. A larger number is a mistake, and a single
one would dominate everything that its group or dataset teaches."""

_TO_SELECT = (
    "if id_list holds places in a pool, train a selector: --policy pointer --pool FILE "
    "--pool-embeddings FILE --query-embeddings FILE"
)
_UNDECLARED = (
    "id_list holds numbers, which nothing says are token ids of the model; if they are, set "
    f"token_ids: true (--token-ids); {_TO_SELECT}"
)


@dataclass(frozen=True)
class Candidate:
    """One answer to a query, as text or tokens, with its score."""

    scored: ScoredSequence
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    """Token ids in the vocabulary of the model being trained; set if there is no text."""


@dataclass(frozen=True)
class CandidateGroup:
    """The candidates of one query."""

    prompt: tuple[dict[str, str], ...]
    candidates: tuple[Candidate, ...]
    where: str
    """The file and the row."""

    @property
    def scored(self) -> tuple[ScoredSequence, ...]:
        """The candidates as :mod:`trainer.offline.levels` takes them."""
        return tuple(candidate.scored for candidate in self.candidates)


_T = TypeVar("_T")

_DECISIONS = TypeAdapter(tuple[ScoredDecision, ...])
_OUTCOMES = TypeAdapter(tuple[Outcome, ...])


def load_candidates(
    path: str | Path, reward: MetricsReward = "queue", has_token_ids: bool = False
) -> list[CandidateGroup]:
    """The candidate groups of a file, a dataset folder (its training rows), or a folder of these.

    Args:
        path: JSON, JSONL or Parquet.
        reward: What ``outcomes`` are compared by; not looked at where a row holds rewards.
        has_token_ids: Whether numbers in ``id_list`` were said to be token ids.

    Raises:
        DatasetError: A file cannot be read, or a row is not a query with scored candidates; the
            message names the file, the row and the field.
    """
    groups = [
        group_of(record, f"{file}, row {number}", reward, has_token_ids)
        for file in dataset_files(path)
        for number, record in enumerate(read_records(file), start=1)
    ]
    if not groups:
        raise DatasetError(f"{path} has no rows")
    return groups


def group_of(
    record: object,
    where: str,
    reward: MetricsReward = "queue",
    has_token_ids: bool = False,
) -> CandidateGroup:
    """The candidates in one row.

    Args:
        record: The row.
        where: The file and the row, for the message of an error.
        reward: What ``outcomes`` are compared by.
        has_token_ids: Whether numbers in ``id_list`` were said to be token ids.

    Raises:
        DatasetError: The row is not a query with scored candidates.

    >>> row = {"query": "Go?", "id_list": [["yes", "no"], ["no", "no"]], "score_list": [1.5, -2]}
    >>> [(one.text, one.scored.score) for one in group_of(row, "here").candidates]
    [('["yes", "no"]', 1.5), ('["no", "no"]', -2.0)]
    """
    if not isinstance(record, dict):
        raise DatasetError(f"{where}: expected an object, got {type(record).__name__}")
    prompt = record.get("prompt", record.get("query"))
    if prompt is None:
        raise DatasetError(f"{where}: missing prompt (or query){_pool_hint(record)}")
    messages = tuple(as_messages(prompt, where))
    candidates = _candidates(record, where, reward)
    if not has_token_ids and any(one.tokens is not None for one in candidates):
        raise DatasetError(f"{where}: {_UNDECLARED}", "undeclared_token_ids")
    check_comparable(candidates, where)
    return CandidateGroup(messages, candidates, where)


def _pool_hint(record: dict[str, Any]) -> str:
    """What may be meant by a row without a prompt."""
    is_pointers = "query_id" in record and "id_list" in record
    return f"; {_TO_SELECT}" if is_pointers else ""


def check_comparable(candidates: Sequence[Candidate], where: str) -> None:
    """Checks that there are several candidates, with scores of a size that traffic has.

    Raises:
        DatasetError: There are not.
    """
    if len(candidates) < _MIN_CANDIDATES:
        count = "one candidate" if candidates else "an empty list"
        raise DatasetError(f"{where}: {count} cannot be compared; provide two or more candidates")
    for number, one in enumerate(candidates, start=1):
        for value in (one.scored.score, one.scored.task or 0.0):
            if abs(value) > _GREATEST_SCORE:
                raise DatasetError(
                    f"{where}: candidate {number} has the score {value:g}; scores are from "
                    f"{-_GREATEST_SCORE:g} to {_GREATEST_SCORE:g}"
                )


def _candidates(record: dict[str, Any], where: str, reward: MetricsReward) -> tuple[Candidate, ...]:
    if record.get("candidates") is not None:
        decisions = _parsed(_DECISIONS, record["candidates"], f"{where}: candidates")
        return _of_decisions(decisions)
    if record.get("outcomes") is not None:
        return _of_decisions(_rewarded(record["outcomes"], f"{where}: outcomes", reward))
    if record.get("id_list") is not None:
        return listed_candidates(record, where)
    raise DatasetError(
        f"{where}: no candidates: provide id_list with score_list, candidates, or outcomes"
    )


def listed_candidates(record: dict[str, Any], where: str) -> tuple[Candidate, ...]:
    """The candidates of ``id_list``, with their scores.

    Raises:
        DatasetError: A list is missing or wrong.
    """
    sequences = _list(record, "id_list", where)
    scores = _numbers(record, "score_list", where, len(sequences))
    tasks: Sequence[float | None] = [None] * len(sequences)
    if record.get("task_list") is not None:
        tasks = _numbers(record, "task_list", where, len(sequences))
    return tuple(
        _of_sequence(value, score, task, f"{where}: id_list, candidate {number}")
        for number, (value, score, task) in enumerate(
            zip(sequences, scores, tasks, strict=True), start=1
        )
    )


def _of_sequence(value: object, score: float, task: float | None, where: str) -> Candidate:
    """Keeps a text as it is, writes words as a model's JSON list, takes numbers as token ids."""
    if isinstance(value, str) and value:
        _check_text(value, where)
        return Candidate(ScoredSequence((value,), score, task), text=value)
    if isinstance(value, list) and value:
        if all(isinstance(word, str) for word in value):
            _check_text("".join(value), where)
            return Candidate(ScoredSequence(tuple(value), score, task), text=json.dumps(value))
        if all(isinstance(token, int) and not isinstance(token, bool) for token in value):
            tokens = tuple(value)
            return Candidate(ScoredSequence(tokens, score, task), tokens=tokens)
    raise DatasetError(
        f"{where}: expected a text, a list of words or a list of token ids, none of them empty"
    )


def _check_text(text: str, where: str) -> None:
    if HALF_PAIR in mark_half_pairs(text):
        raise DatasetError(f"{where}: half of a surrogate pair, which is not valid text")


def _of_decisions(decisions: Sequence[ScoredDecision]) -> tuple[Candidate, ...]:
    seconds = {_added_s(one.decision) for one in decisions} - {None}
    return tuple(
        Candidate(
            ScoredSequence(_sequence(one.decision), one.reward, one.task),
            text=_text(one.decision, says_seconds=len(seconds) > 1),
        )
        for one in decisions
    )


def _added_s(decision: Decision) -> int | None:
    """The seconds of green that a *yes* adds; None for anything else."""
    return decision.extend_s if isinstance(decision, Extend) and decision.extend else None


def _text(decision: Decision, says_seconds: bool) -> str:
    """A model's answer; a *yes* includes its seconds only if they tell candidates apart."""
    if isinstance(decision, Extend) and not says_seconds:
        return render_completion(Extend(extend=decision.extend))
    return render_completion(decision)


def _sequence(decision: Decision) -> tuple[str, ...]:
    match decision:
        case Extend():
            return ("yes" if decision.extend else "no",)
        case Plan():
            return tuple("yes" if step.extend else "no" for step in decision.steps)
        case Cycle():
            return tuple(f"{green.phase}: {green.green_s} s" for green in decision.greens)
        case NextPhase():
            return (f"{decision.next_phase}: {decision.green_s} s",)
    assert_never(decision)


def _rewarded(value: object, where: str, reward: MetricsReward) -> list[ScoredDecision]:
    """Outcomes with the reward computed from their metrics."""
    found = []
    outcomes = _parsed(_OUTCOMES, value, where)
    for number, outcome in enumerate(outcomes, start=1):
        score = stored_reward(reward, outcome.metrics)
        if score is None:
            raise DatasetError(f"{where}, {number}: its metrics are not enough for {reward!r}")
        found.append(ScoredDecision(decision=outcome.decision, reward=score))
    return found


def _parsed(kind: TypeAdapter[_T], value: object, where: str) -> _T:
    try:
        return kind.validate_python(without_nulls(value))
    except ValidationError as exc:
        raise row_error(exc, where, ", ") from exc


def _list(record: dict[str, Any], name: str, where: str) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, list):
        raise DatasetError(f"{where}: {name} must be a list")
    return value


def _numbers(record: dict[str, Any], name: str, where: str, count: int) -> list[float]:
    values = _list(record, name, where)
    if len(values) != count:
        said = f"{where}: {name} has length {len(values)}, id_list has length {count}"
        raise DatasetError(said, "score_length")
    for number, value in enumerate(values, start=1):
        if not is_finite(value):
            shown = repr(value)[:_MAX_SEEN_CHARS]
            said = f"{where}: {name}, candidate {number}: {shown} is not a finite number"
            raise DatasetError(said, "not_finite")
    return [float(value) for value in values]
