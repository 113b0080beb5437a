"""One request per batch: its terms, its results, and a service that is lost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.decisions import Extend
from shared.errors import ServiceError, ServiceRefused
from shared.errors import ServiceUnreachable as Unreachable
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreResponse
from tests.unit.trainer.grpo.fake_functions import NO, YES, FakeService, Functions
from trainer.grpo.batch_scorer import (
    REWARD_BOUND,
    BatchScorer,
    Completions,
    ScoredBatch,
    ScoringTerms,
    patience,
)
from trainer.runs.run_stats import FailureLimit, RunStats


async def test_the_service_is_told_what_the_template_opened() -> None:
    """A draft in a reasoning that was cut off is worth what an invalid answer is."""
    functions = Functions(FakeService())
    functions.scorer.opened = "<think>\n"
    form, traffic = await functions([f"Perhaps {YES}? East", f"East.</think>{YES}"])
    assert (form, traffic) == ([-1.0, 1.0], [-0.75, 0.5])
    sent = [item.completion for item in functions.service.calls[0]]
    assert sent == [f"<think>\nPerhaps {YES}? East", f"<think>\nEast.</think>{YES}"]


async def test_one_call_a_batch() -> None:
    """Two functions and two batches make two calls, over one client made at the first."""
    functions = Functions(FakeService())
    await functions([YES, NO, "?", YES])
    await functions([NO])
    assert [len(items) for items in functions.service.calls] == [4, 1]
    assert functions.connected == 1


async def test_rewards_come_back_in_order() -> None:
    """Scored, invalid with the reward that was asked for, and failed as None in both."""
    form, traffic = await Functions(FakeService())([YES, "?", "fail", NO])
    assert form == [1.0, -1.0, None, 1.0]
    assert traffic == [0.5, -0.75, None, -0.5]


async def test_wild_rewards_are_clamped() -> None:
    """No number from outside can be large enough to destroy the weights; they are counted."""
    functions = Functions(FakeService())
    with capture_logs() as lines:
        for _ in range(2):
            _, traffic = await functions([YES, NO, YES, YES], ["wild", "wild", "s", "s"])
    assert traffic == [REWARD_BOUND, -REWARD_BOUND, 0.5, 0.5]
    assert functions.logged["outcomes/clamped"] == 0.5
    assert functions.stats.clamped == 4
    assert [line["rewards"] for line in lines] == [2], "said once"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Unreachable("http://x does not answer"), "was lost: http://x does not answer"),
        (ServiceRefused("no such state", "unknown_state"), "rejected a batch: no such state"),
    ],
)
async def test_a_service_that_is_gone_stops_the_run(error: ServiceError, says: str) -> None:
    """Nothing is raised into TRL; every reward is None and the flag says why."""
    functions = Functions(FakeService(error))
    form, traffic = await functions([YES, NO])
    assert form == traffic == [None, None]
    assert says in (functions.stats.stop.reason or "")


class Outage:
    """A service that does not answer so many times, and the pauses that are made meanwhile."""

    def __init__(self, calls: int, error: ServiceError | None = None) -> None:
        self.service = FakeService()
        self._left = calls
        self._error = error or Unreachable("http://x does not answer")
        self.pauses: list[float] = []
        self.now = 0.0

    async def score(
        self, items: Sequence[Any], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Answers once it is back."""
        self._left -= 1
        if self._left >= 0:
            raise self._error
        return await self.service.score(items, reward, timeout_s)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def scored(self, outage_s: float) -> tuple[list[ScoredBatch], RunStats]:
        """What becomes of a batch of one."""
        stats = RunStats(FailureLimit(0.5, 100))
        policy = replace(
            patience(outage_s), sleep=self._pause, clock=lambda: self.now, rand=lambda: 1.0
        )
        scorer = BatchScorer(lambda: self, ScoringTerms(RewardSpec(), 30), stats, policy)
        return await scorer.scored("batch", Completions([YES], ["s"], ["A"], ["extend"])), stats


async def test_pauses_until_the_service_is_back() -> None:
    """Ever longer, up to ten seconds, and as if nothing had happened; the outage is counted."""
    outage = Outage(calls=7)
    (one,), stats = await outage.scored(outage_s=60)
    assert (one.status, one.reward, stats.stop.reason, stats.outages) == ("scored", 0.5, None, 1)
    assert outage.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize(("outage_s", "pauses"), [(0.0, []), (4.0, [0.5, 1.0, 2.0])])
async def test_gives_up_in_time(outage_s: float, pauses: list[float]) -> None:
    """The batch is lost as a whole then, so its step is not to be made."""
    outage = Outage(calls=99)
    (one,), stats = await outage.scored(outage_s)
    assert (one.status, one.code, outage.pauses) == ("failed", "service_unreachable", pauses)
    assert stats.stop.lost_batch == stats.stop.reason
    assert "was lost" in (stats.stop.reason or "")


async def test_gives_up_after_a_day() -> None:
    """However many thousand times it asked."""
    outage = Outage(calls=99_999)
    (one,), stats = await outage.scored(outage_s=86_400)
    assert (one.code, len(outage.pauses)) == ("service_unreachable", 8643)
    assert stats.stop.lost_batch is not None


async def test_does_not_wait_for_a_service_that_refuses() -> None:
    """Asking again would not help."""
    outage = Outage(99, ServiceRefused("no such state", "unknown_state"))
    (one,), stats = await outage.scored(outage_s=60)
    assert (one.code, outage.pauses, stats.outages) == ("unknown_state", [], 0)
    assert stats.stop.lost_batch is not None


async def test_seconds_of_a_yes() -> None:
    """Other seconds than the default are sent as a decision; invalid text is sent as it is."""
    functions = Functions(FakeService(), extend_s=10)
    await functions([YES, '{"extend": "yes", "extend_sec": 20}', "?"])
    sent = [(i.decision, i.completion) for i in functions.service.calls[0]]
    assert sent == [
        (Extend(extend=True, extend_s=10), None),
        (Extend(extend=True, extend_s=20), None),
        (None, "?"),
    ]


async def test_groups_are_named() -> None:
    """One id a prompt and generation batch, other ids in the next batch."""
    functions = Functions(FakeService())
    await functions([YES] * 6, list("aabbaa"))
    await functions([YES] * 2, list("aa"))
    assert [[item.group_id for item in call] for call in functions.service.calls] == [
        ["run7/1/0"] * 2 + ["run7/1/1"] * 2 + ["run7/1/2"] * 2,
        ["run7/2/0"] * 2,
    ]
