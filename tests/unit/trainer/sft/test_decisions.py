"""What lessons teach: best decisions, legal ones, those of rules and of records."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from shared.dataset import Action
from shared.decisions import DecisionKind, Extend, NextPhase
from shared.errors import ConfigError, DatasetError
from shared.language.completion_items import Situation
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import points_of, record_actions
from trainer.evaluation.points import DecisionPoint
from trainer.sft.config import BestBy
from trainer.sft.decisions import (
    RecordedDecisions,
    any_legal,
    best_decision,
    known_worth,
    noisy_rule,
    rule_decision,
)

CHANCE = random.Random(1)


def test_the_best_decision_has_the_shortest_queue(tmp_path: Path) -> None:
    """And it says yes without seconds of its own, as the prompt asks."""
    points = points_of(tmp_path, [Moment(yes_veh=2, no_veh=3), Moment(yes_veh=4, no_veh=3)])

    assert [best_decision(point, "queue") for point in points] == [
        Extend(extend=True),
        Extend(extend=False),
    ]
    assert [known_worth(point).gap_veh for point in points] == [1, 1]


@pytest.mark.parametrize(
    ("by", "is_yes"), [("queue", True), ("queue_gain", True), ("speed", False)]
)
def test_the_best_decision_is_best_by_the_reward_that_is_asked_for(
    tmp_path: Path, by: BestBy, is_yes: bool
) -> None:
    """Of equals the first one is taught: here both have the same speed, but for the queue."""
    moment = Moment(yes_veh=2, no_veh=3, more={"speed_mps": 5.0})
    (point,) = points_of(tmp_path, [moment])
    assert point.outcomes is not None
    slower = point.outcomes[0].metrics.model_copy(update={"speed_mps": 4.0})
    outcomes = (point.outcomes[0].model_copy(update={"metrics": slower}), point.outcomes[1])

    assert best_decision(replace(point, outcomes=outcomes), by) == Extend(extend=is_yes)


def test_a_row_without_outcomes_says_how_they_are_built(tmp_path: Path) -> None:
    """The message names the option."""
    (point,) = points_of(tmp_path, [Moment(yes_veh=None)])

    with pytest.raises(DatasetError, match="dataset build … --outcomes") as caught:
        best_decision(point, "queue")
    assert caught.value.code == "no_outcomes"


def test_outcomes_that_do_not_give_the_reward_are_refused(tmp_path: Path) -> None:
    """Where no vehicle was ever seen there is no speed."""
    (point,) = points_of(tmp_path, [Moment()])

    with pytest.raises(DatasetError, match="do not give the reward speed"):
        best_decision(point, "speed")


@pytest.mark.parametrize(
    ("kind", "count"), [("extend", 2), ("phase", 13), ("cycle", 4), ("plan", 8)]
)
def test_without_outcomes_what_is_legal_follows_from_the_prompt(
    tmp_path: Path, kind: DecisionKind, count: int
) -> None:
    """12 s of at most 60 are over: the current green may have all of the grid but 60 s more."""
    (point,) = points_of(tmp_path, [Moment(yes_veh=None)])
    asked = replace(point, place=_asking(point, kind))

    found = {any_legal(asked, CHANCE).model_dump_json() for _ in range(600)}

    assert len(found) == count


def test_with_outcomes_the_legal_decisions_are_those(tmp_path: Path) -> None:
    """They were rolled out, so they are known to be legal."""
    (point,) = points_of(tmp_path, [Moment(kind="phase")])

    found = {any_legal(point, CHANCE) for _ in range(50)}

    assert found == {NextPhase(next_phase=phase, green_s=20) for phase in (0, 2)}


def test_rules_read_the_prompt(tmp_path: Path) -> None:
    """Phase 0 is green; the second point has most vehicles there, but not the longest queue."""
    (waiting, moving) = points_of(
        tmp_path, [Moment(queued=(1, 4)), Moment(queued=(1, 4), approaching=(9, 0))]
    )

    assert rule_decision(waiting, "longest-queue") == Extend(extend=False)
    assert rule_decision(moving, "longest-queue") == Extend(extend=False)
    assert rule_decision(moving, "most-vehicles") == Extend(extend=True)


def test_noise_is_a_coin_in_the_given_share(tmp_path: Path) -> None:
    """With 0.4 of noise four answers of five follow the rule."""
    (point,) = points_of(tmp_path, [Moment(queued=(1, 4))])

    yes = sum(noisy_rule(point, CHANCE, 0.4).extend for _ in range(2000))  # type: ignore[union-attr]

    assert 330 < yes < 470
    assert noisy_rule(point, CHANCE, 0.0) == Extend(extend=False)


def test_a_rule_says_which_sources_know_other_decisions(tmp_path: Path) -> None:
    """Rules decide extend only."""
    (point,) = points_of(tmp_path, [Moment(kind="phase")])

    with pytest.raises(ConfigError, match="longest_queue decides extend only"):
        rule_decision(point, "longest-queue")


def test_recorded_decisions_are_those_of_the_policy(tmp_path: Path) -> None:
    """The green lasts 12 s of at least 5: an end at once was a no. Of the third nothing is told."""
    points = points_of(tmp_path, [Moment(), Moment(), Moment()])
    actions = [
        Action(time_s=0, tls_id="C", remaining_s=5),
        Action(time_s=1, tls_id="C", remaining_s=0),
    ]
    record_actions(tmp_path, "seed1", actions)
    recorded = RecordedDecisions()

    told = recorded.told(points)

    assert told == list(points[:2])
    assert [recorded.decision(p) for p in told] == [Extend(extend=True), Extend(extend=False)]


def test_where_the_program_ran_the_signals_its_durations_tell(tmp_path: Path) -> None:
    """The green lasts 30 s, 12 of which are over: it went on for five more."""
    points = points_of(tmp_path, [Moment()])
    record_actions(tmp_path, "seed1", None)
    recorded = RecordedDecisions()

    assert [recorded.decision(p) for p in recorded.told(points)] == [Extend(extend=True)]


def test_rows_without_a_record_are_refused(tmp_path: Path) -> None:
    """A run that decided elsewhere only teaches nothing; nor does a row that is from no dataset."""
    points = points_of(tmp_path, [Moment()])
    record_actions(tmp_path, "seed1", [Action(time_s=50, tls_id="C", remaining_s=5)])

    with pytest.raises(DatasetError, match="no row is at a time when"):
        RecordedDecisions().told(points)
    with pytest.raises(DatasetError, match="needs a dataset folder"):
        RecordedDecisions().told([replace(points[0], greens=None)])


def _asking(point: DecisionPoint, kind: DecisionKind) -> Situation:
    return point.place.model_copy(update={"decision_kind": kind})
