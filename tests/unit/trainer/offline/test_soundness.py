"""Candidates that contradict themselves are refused; those that teach little are said."""

import pytest
from structlog.testing import capture_logs

from shared.errors import DatasetError
from trainer.offline.candidates import CandidateGroup, group_of
from trainer.offline.preparation import check_differences, check_soundness


def _group(
    number: int, answers: list[object], scores: list[float], **more: object
) -> CandidateGroup:
    row = {"prompt": "Go?", "id_list": answers, "score_list": scores} | more
    return group_of(row, f"beam.jsonl, row {number}", has_token_ids=True)


def test_a_candidate_with_two_scores_is_refused() -> None:
    """With its row and both scores; token ids too."""
    good = _group(1, ["a", "b"], [1, 2])
    twice = _group(2, ["a", "b", "a"], [1, 2, 3])
    with pytest.raises(
        DatasetError, match=r"row 2: candidate 3 .* a different score \(1, then 3\)"
    ):
        check_soundness([good, twice])
    with pytest.raises(DatasetError, match="row 3: candidate 2"):
        check_soundness([_group(3, [[4, 5], [4, 5]], [0, 1])])


def test_what_teaches_less_than_it_seems_to_is_said() -> None:
    """Once per file, with how many queries it is true of."""
    groups = [
        _group(1, ["a", "b"], [1, 1]),
        _group(2, ["a", "b"], [1, 1], task_list=[1, 2]),
        _group(3, ["a", "a", "b"], [1, 1, 2]),
        _group(4, ["a", "a"], [1, 1]),
        _group(5, ["a", "b"], [1, 2]),
    ]
    with capture_logs() as logged:
        check_soundness(groups)
    counted = {line["event"].split(",")[0]: (line["queries"], line["of"]) for line in logged}
    assert counted == {
        "queries whose candidates have equal scores teach nothing": (2, 5),
        "queries contain a candidate more than once": (2, 5),
    }
    with capture_logs() as logged:
        check_soundness(groups[-1:])
    assert not logged


def test_nothing_to_learn_is_refused() -> None:
    """One query with a difference is enough."""
    check_differences([[0.0, 0.0], [1.0, -1.0]], "beam.jsonl")
    with pytest.raises(DatasetError, match=r"beam\.jsonl: .* nothing to learn"):
        check_differences([[0.0, 0.0], [0.0, 0.0]], "beam.jsonl")
