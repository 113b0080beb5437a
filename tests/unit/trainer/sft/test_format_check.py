"""Shares of what a model answered to rows that it was not taught."""

from pathlib import Path

import pytest

from shared.decisions import Extend
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import points_of
from trainer.evaluation.answers import Generation
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.worth import Worth, stored_worth
from trainer.sft.format_check import check_format, sample_lines, summed_up


def test_shares_are_of_all_answers(tmp_path: Path) -> None:
    """Yes is best at the first point, no at the others; one answer is invalid, one is wrapped."""
    moments = [Moment(yes_veh=2), *[Moment(yes_veh=4)] * 3]
    judged = []
    for point in points_of(tmp_path, moments):
        assert point.outcomes is not None
        worth = stored_worth(point.outcomes, "queue")
        assert worth is not None
        judged.append(Judged(point, worth))
    yes, no = Extend(extend=True), Extend(extend=False)
    choices = [
        PolicyAnswer(yes, None, is_strict=True),
        PolicyAnswer(yes, None, is_strict=True),
        PolicyAnswer(no, None, is_strict=False),
        PolicyAnswer(None, "no_json", is_strict=False),
    ]

    check = summed_up(judged, choices)

    assert check.rows == 4
    assert check.strict_share == 0.5
    assert check.invalid == {"no_json": 1}
    assert check.invalid_share == 0.25
    assert check.agreement == 0.5
    assert check.yes_share == pytest.approx(2 / 3)


def test_without_outcomes_there_is_no_agreement(tmp_path: Path) -> None:
    """What is not known is not a number."""
    (point,) = points_of(tmp_path, [Moment(yes_veh=None)])

    check = summed_up([Judged(point, Worth(()))], [PolicyAnswer(None, "no_json", is_strict=False)])

    assert check.agreement is None
    assert check.yes_share is None


def test_samples_begin_with_what_is_invalid(tmp_path: Path) -> None:
    """A prompt, what was written, what became of it, and minus the queue where that is known."""
    judged = []
    for point in points_of(tmp_path, [Moment(yes_veh=2), Moment(yes_veh=2)]):
        assert point.outcomes is not None
        worth = stored_worth(point.outcomes, "queue")
        assert worth is not None
        judged.append(Judged(point, worth))
    written = PolicyAnswer(Extend(extend=True), None, True, '{"extend": "yes"}')
    mute = PolicyAnswer(None, "no_json", False, "hm")

    first, second = sample_lines(judged, [written, mute], 7)

    assert (first["answer"], first["status"], first["code"]) == ("hm", "invalid", "no_json")
    assert (first["reward"], first["step"]) == (None, 7)
    assert (second["answer"], second["status"], second["reward"]) == (written.text, "scored", -2)
    assert second["prompt"] == [message.model_dump() for message in judged[0].point.prompt]


def test_without_rows_there_is_no_check(tmp_path: Path) -> None:
    """No model is loaded for it."""
    assert check_format(tmp_path / "no model", (), Generation()) is None
