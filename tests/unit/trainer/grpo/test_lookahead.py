"""What is asked for ahead: both answers, once per state, and without consequences."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from reward_client.blocking import wind_up
from shared.decisions import Extend
from shared.errors import ServiceUnreachable
from shared.rewards import RewardSpec
from shared.wire.scoring import Counts, ScoreItem, ScoreResponse
from shared.wire.states import Simulator
from trainer.grpo.batch_scorer import BatchScorer, ScoringTerms
from trainer.grpo.lookahead import LookAhead
from trainer.runs.run_stats import FailureLimit, RunStats


class Service:
    """Counts two rollouts a call, or is gone."""

    def __init__(self, is_gone: bool = False) -> None:
        self.calls: list[Sequence[ScoreItem]] = []
        self._is_gone = is_gone

    async def score(
        self, items: Sequence[Any], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Answers nothing that would be looked at."""
        self.calls.append(items)
        if self._is_gone:
            raise ServiceUnreachable("gone")
        counts = Counts(scored=2, invalid=0, failed=0, cached=0, rollouts=2)
        return ScoreResponse(results=(), counts=counts, simulator=Simulator(version="0"))


def _row(state: str, kind: str = "extend") -> dict[str, str]:
    return {"state_id": state, "tls_id": "A", "decision_kind": kind}


async def _ahead(service: Service, *batches: list[dict[str, str]]) -> RunStats:
    """Reads batches as a trainer does, and lets the loop turn."""
    stats = RunStats(FailureLimit(0.5, 9))
    scorer = BatchScorer(lambda: service, ScoringTerms(RewardSpec(), 30, extend_s=10), stats)
    collate = LookAhead(scorer, asyncio.get_running_loop)
    for batch in batches:
        assert collate(batch) is batch
    for _ in range(5):
        await asyncio.sleep(0)
    return stats


async def test_both_answers_once_a_state() -> None:
    """With the seconds of the run, however often a row is read; other kinds are left alone."""
    service = Service()
    rows = [_row("a"), _row("a"), _row("p", "phase"), _row("b")]
    stats = await _ahead(service, rows, rows, [_row("b"), _row("c")])
    asked = [[(item.state_id, item.decision) for item in call] for call in service.calls]
    yes, no = Extend(extend=True, extend_s=10), Extend(extend=False, extend_s=10)
    assert asked == [[("a", yes), ("a", no), ("b", yes), ("b", no)], [("c", yes), ("c", no)]]
    assert (stats.rollouts, stats.items) == (4, 0)


@pytest.mark.parametrize("rows", [[], [_row("p", "phase")]])
async def test_nothing_to_ask_for(rows: list[dict[str, str]]) -> None:
    """Makes no request."""
    service = Service()
    await _ahead(service, rows)
    assert service.calls == []


async def test_a_service_that_is_gone_is_not_noticed_here() -> None:
    """The batch itself will notice, and wait."""
    stats = await _ahead(Service(is_gone=True), [_row("a")])
    assert (stats.stop.reason, stats.outages, stats.rollouts) == (None, 0, 0)


def test_what_is_asked_for_ahead_ends_with_the_run() -> None:
    """Nothing is left pending on the loop, which Python would complain of at its end."""
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def winds_up() -> int:
        tasks = [asyncio.ensure_future(waits()) for _ in range(3)]
        await asyncio.sleep(0)
        await wind_up(None)
        return sum(task.done() for task in tasks)

    assert asyncio.run(winds_up()) == 3
    assert ended == ["cancelled"] * 3
