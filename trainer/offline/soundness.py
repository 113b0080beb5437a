"""What scored candidates say about themselves before anything is trained on them.

Owns what is refused because it contradicts itself or leaves nothing to learn, and what is only said
because it teaches less than it seems to. What a row may look like is
:mod:`trainer.offline.candidates`.
"""

from collections.abc import Hashable, Sequence

import structlog

from shared.errors import DatasetError
from trainer.offline.candidates import Candidate, CandidateGroup

__all__ = ["check_differences", "check_soundness"]

_log = structlog.get_logger(__name__)


def check_soundness(groups: Sequence[CandidateGroup]) -> None:
    """Refuses candidates that contradict each other, and says which queries teach little.

    Args:
        groups: The queries of a file.

    Raises:
        DatasetError: A query has one candidate twice with different scores.
    """
    repeated = sum(_has_repeated(group) for group in groups)
    equal = sum(_is_equal(group) for group in groups)
    if equal:
        _log.warning(
            "queries whose candidates have equal scores do not say which is better",
            queries=equal,
            of=len(groups),
        )
    if repeated:
        _log.warning(
            "queries hold a candidate more than once, which then counts more; give each once",
            queries=repeated,
            of=len(groups),
        )


def check_differences(advantages: Sequence[Sequence[float]], path: str) -> None:
    """Refuses queries of which none has candidates that differ.

    Args:
        advantages: Of the candidates of all training queries.
        path: The file, for the message.

    Raises:
        DatasetError: All are 0.
    """
    if not any(any(group) for group in advantages):
        raise DatasetError(
            f"{path}: the candidates of every query are worth the same, so there is nothing to "
            "learn; score them by what they lead to"
        )


def _has_repeated(group: CandidateGroup) -> bool:
    """Whether a candidate stands more than once in a group, each time with the same score."""
    scores: dict[Hashable, float] = {}
    for number, one in enumerate(group.candidates, start=1):
        score = one.scored.score
        if scores.setdefault(_said(one), score) != score:
            raise DatasetError(
                f"{group.where}: candidate {number} stands there before with another score "
                f"({scores[_said(one)]:g}, then {score:g}); give it once, with the mean"
            )
    return len(scores) < len(group.candidates)


def _is_equal(group: CandidateGroup) -> bool:
    """Whether nothing that is measured tells the candidates apart."""
    return len({(one.score, one.task) for one in group.scored}) == 1


def _said(candidate: Candidate) -> Hashable:
    return candidate.text if candidate.tokens is None else candidate.tokens
