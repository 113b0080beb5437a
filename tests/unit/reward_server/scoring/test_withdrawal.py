"""Outcomes that a failed check casts doubt on leave the ledger and are done again by forks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reward_server.scoring.response_cache import ResponseCache
from reward_server.scoring.single_flight import SingleFlight, Work
from reward_server.scoring.withdrawal import Withdrawal
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger, Recorded
from reward_server.storage.urls import sqlite_url
from shared.decisions import Extend
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.rollout import make_rollout
from tests.unit.reward_server.world import GREEN, FakeRunner, make_metrics, make_state

YES = make_rollout(make_state(GREEN), {"C": Extend(extend=True)}, 30)
NO = make_rollout(make_state(GREEN), {"C": Extend(extend=False)}, 30)


class _Runner(FakeRunner):
    """Notes how rollouts were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Rollout] = []

    async def run(self, rollout: Work, flow: Flow) -> RolloutOutcome:
        assert isinstance(rollout, Rollout)
        self.asked.append(rollout)
        return await super().run(rollout, flow)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """With a wrong outcome of *yes*, and one of something else."""
    database = Database(sqlite_url(tmp_path / "ledger.sqlite"))
    await database.start()
    ledger = Ledger(database)
    await ledger.record(_key(YES), YES, make_metrics(99), "sumo 1.28.0", "restore")
    await ledger.record(_key(NO), NO, make_metrics(77), "sumo 1.28.0")
    yield ledger
    await ledger.close()
    await database.close()


def _queue(recorded: Recorded) -> float:
    assert isinstance(recorded, Metrics)
    return recorded.queue_veh


def _key(rollout: Rollout) -> str:
    return "yes" if rollout.signal_decisions == YES.signal_decisions else "no"


async def test_doubtful_outcomes_are_done_again_by_forks(ledger: Ledger) -> None:
    """The others stay; whoever asks next gets the new value; the log names what it was."""
    runner, hot = _Runner(), ResponseCache(2**20)
    single_flight = SingleFlight(runner, ledger, "sumo 1.28.0")
    withdrawal = Withdrawal(single_flight, ledger, hot, _key, limit_s=30)
    with capture_logs() as logs:
        withdrawal.heed(RolloutOutcome(metrics=make_metrics(1), doubtful=(YES,)))
        await withdrawal.close()
    known = await ledger.get_many(["yes", "no"])
    assert _queue(known["yes"]) not in (99, _queue(known["no"]))
    assert _queue(known["no"]) == 77
    assert [rollout.is_forked for rollout in runner.asked] == [True]
    events = {line["event"]: line for line in logs}
    assert events["outcomes_withdrawn"]["keys"] == ["yes"]
    assert events["outcomes_withdrawn"]["log_level"] == "error"
    assert events["outcomes_done_again"]["failed"] == []
    await single_flight.close()


async def test_outcomes_without_doubt_change_nothing(ledger: Ledger) -> None:
    """Nothing is withdrawn where nothing is doubtful."""
    single_flight = SingleFlight(_Runner(), ledger, "sumo 1.28.0")
    withdrawal = Withdrawal(single_flight, ledger, ResponseCache(0), _key, limit_s=30)
    withdrawal.heed(RolloutOutcome(metrics=make_metrics(1)))
    await withdrawal.close()
    assert _queue((await ledger.get_many(["yes"]))["yes"]) == 99
    await single_flight.close()


async def test_failure_to_withdraw_is_logged(ledger: Ledger) -> None:
    """Whatever it is, nobody waits for it; a failure that nobody hears of would keep the values."""

    def no_key(rollout: Rollout) -> str:
        raise RuntimeError(f"no key for {rollout.state_id}")

    single_flight = SingleFlight(_Runner(), ledger, "sumo 1.28.0")
    withdrawal = Withdrawal(single_flight, ledger, ResponseCache(0), no_key, limit_s=30)
    with capture_logs() as logs:
        withdrawal.heed(RolloutOutcome(metrics=make_metrics(1), doubtful=(YES,)))
        await withdrawal.close()
    assert [line["event"] for line in logs] == ["outcomes_not_withdrawn"]
    await single_flight.close()
