"""Regrets out of a dataset's rows."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.decisions import Decision, Extend, NextPhase
from shared.rewards import RewardSpec
from shared.wire.scoring import Counts, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from trainer.grpo.batch_scorer import BatchScorer, ScoringTerms
from trainer.grpo.regret import KnownRegrets
from trainer.grpo.reward_functions import RewardWeights, TrafficReward
from trainer.runs.run_stats import FailureLimit, RunStats

METRICS = {
    "queue_veh_max": 9,
    "wait_s": 0.0,
    "throughput_veh": 0,
    "pressure_veh": 0.0,
    "network_queue_veh": 0.0,
    "speed_mps": None,
}
YES, NO = Extend(extend=True), Extend(extend=False)


def _outcome(is_yes: bool, queue_veh: float) -> dict[str, Any]:
    """As a table of rows holds it: what other kinds of decision have is there, and None."""
    return {
        "decision": {"kind": "extend", "extend": is_yes, "extend_s": 5, "next_phase": None},
        "metrics": METRICS | {"queue_veh": queue_veh},
    }


KNOWN = [_outcome(True, 4.0), _outcome(False, 1.5)]


@pytest.mark.parametrize(
    ("decisions", "mean"),
    [
        ([YES], 2.5),
        ([NO], 0.0),
        ([YES, NO, None], 1.25),
        ([None], None),
        ([Extend(extend=True, extend_s=20)], None),
        ([NextPhase(next_phase=2, green_s=10), YES], 2.5),
        ([], None),
    ],
)
def test_mean_over_what_is_known(decisions: list[Decision | None], mean: float | None) -> None:
    """Of decisions that are among the outcomes; the others are left out."""
    count = len(decisions)
    assert KnownRegrets().mean(["s"] * count, [KNOWN] * count, decisions) == mean


@pytest.mark.parametrize("outcomes", [None, [], [{"decision": {"kind": "x"}, "metrics": {}}], [7]])
def test_rows_that_do_not_tell(outcomes: Any) -> None:  # noqa: ANN401 - whatever stands there
    """No column, an empty one, or somebody else's."""
    assert KnownRegrets().mean(["s"], [outcomes], [YES]) is None


def test_points_are_kept_apart() -> None:
    """Each has outcomes of its own."""
    other = [_outcome(True, 1.0), _outcome(False, 7.0)]
    assert KnownRegrets().mean("ab", [KNOWN, other], [YES, YES]) == 1.25


class _Service:
    """A service that reads two decisions of the same state, one of each kind."""

    async def score(
        self, items: Sequence[Any], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Every reward is 0."""
        results = tuple(
            ScoreResult(id=None, status="scored", reward=0.0, decision=decision)
            for decision in (YES, NextPhase(next_phase=2, green_s=20))
        )
        counts = Counts(scored=2, invalid=0, failed=0, cached=0, rollouts=0)
        return ScoreResponse(results=results, counts=counts, simulator=Simulator(version="0"))


async def test_kinds_of_one_state_are_kept_apart() -> None:
    """Rows of both in one folder have outcomes of their own."""
    phases = [
        {
            "decision": {"kind": "phase", "next_phase": phase, "green_s": 20},
            "metrics": METRICS | {"queue_veh": queue_veh},
        }
        for phase, queue_veh in ((0, 1.0), (2, 9.0))
    ]
    stats = RunStats(FailureLimit(0.5, 99))
    scorer = BatchScorer(_Service, ScoringTerms(RewardSpec(), 30), stats)
    logged: dict[str, float] = {}
    await TrafficReward(scorer, RewardWeights(1, 1, group_size=1))(
        completions=["", ""],
        state_id=["s", "s"],
        tls_id=["C", "C"],
        decision_kind=["extend", "phase"],
        outcomes=[KNOWN, phases],
        log_metric=logged.__setitem__,
    )
    assert logged["outcomes/regret_veh"] == (2.5 + 8.0) / 2
