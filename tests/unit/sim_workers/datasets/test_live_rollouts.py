"""Many rollouts of a moment are restored, bracketed by forks; what differs is all done by forks."""

from typing import cast

import pytest

from sim_workers.datasets.live_rollouts import LiveRollouts
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Rollout, RolloutOutcome

ROLLOUTS = [
    Rollout(signal_decisions=(), observe=("C",), horizon_s=horizon_s) for horizon_s in range(1, 31)
]


class _Simulation:
    """Says by which way it was asked; some are wrong when they are restored."""

    def __init__(self, *wrong: int) -> None:
        self.wrong = wrong
        self.asked: list[tuple[int, bool]] = []
        self.kept = 0

    def call(self, rollout: Rollout, reply: type[RolloutOutcome], limit_s: float) -> RolloutOutcome:
        self.asked.append((rollout.horizon_s, rollout.is_forked))
        is_wrong = rollout.horizon_s in self.wrong and not rollout.is_forked
        made_by = "fork" if rollout.is_forked else "restore"
        return reply(trace=f"{rollout.horizon_s}{'!' * is_wrong}", made_by=made_by)

    def keep(self, holder: object) -> None:
        self.kept += 1


def _live(simulation: _Simulation) -> LiveRollouts:
    return LiveRollouts(cast(SimulationHandle, simulation), cast(ForkServer, simulation))


def test_few_are_forked() -> None:
    """A process that is put back costs as much as some forks."""
    simulation = _Simulation()
    outcomes = _live(simulation).outcomes(ROLLOUTS[:20])
    assert {outcome.made_by for outcome in outcomes} == {"fork"}
    assert simulation.kept == 0


def test_many_are_restored_between_two_checks() -> None:
    """At every moment anew, with one keeper."""
    simulation = _Simulation()
    live = _live(simulation)
    for _ in range(2):
        assert {outcome.made_by for outcome in live.outcomes(ROLLOUTS)} == {"restore"}
    assert [number for number, is_forked in simulation.asked if is_forked] == [1, 30, 1, 30]
    assert simulation.kept == 1


@pytest.mark.parametrize("wrong", [1, 30])
def test_difference_has_all_done_by_forks(wrong: int) -> None:
    """Those of the moment, and those of later moments."""
    simulation = _Simulation(wrong)
    live = _live(simulation)
    for _ in range(2):
        outcomes = live.outcomes(ROLLOUTS)
        assert [outcome.trace for outcome in outcomes] == [str(r.horizon_s) for r in ROLLOUTS]
        assert {outcome.made_by for outcome in outcomes} == {"fork"}
