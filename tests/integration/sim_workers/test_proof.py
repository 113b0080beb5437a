"""A proof holds only for a simulation that moves every vehicle as the live one does."""

from pathlib import Path

import pytest

from sim_workers.datasets import live_rollouts
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.live_rollouts import LiveRollouts
from sim_workers.datasets.proof import Proof, decision_points
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import (
    Advance,
    Describe,
    Described,
    Observe,
    Observed,
    Open,
    Ready,
    RolloutOutcome,
    Save,
)
from sim_workers.scenarios.scenario import CONFIG_NAME, load_scenario
from sim_workers.states.state_file import normalise_state
from sim_workers.states.unread_demand import Demand
from tests.integration.conftest import OWN
from tests.kernel import CAN_RESTORE

_SEED, _OTHER_SEED = 7, 8
_LIMIT_S = 60.0


@pytest.mark.parametrize(("seed", "is_exact"), [(_SEED, True), (_OTHER_SEED, False)])
def test_a_simulation_that_moves_otherwise_is_no_proof(
    tmp_path: Path, fork_server: ForkServer, seed: int, is_exact: bool
) -> None:
    """Under its own seed a state is proven; under another, vehicles differ and it is not."""
    scenario = tmp_path / "scenario"
    load_scenario(OWN["crossing"]).write(scenario)
    state, demand = tmp_path / "state.xml", Demand(scenario)
    opened = Open(config=str(scenario / CONFIG_NAME), seed=_SEED)
    with fork_server.open(opened) as live:
        question = Describe(min_green_s=5, max_green_s=60)
        signals = live.call(question, Described, _LIMIT_S).signals
        live.call(Advance(to_s=620), Ready, _LIMIT_S)
        seen = live.call(Observe(tls_ids=tuple(signals)), Observed, _LIMIT_S)
        live.call(Save(path=str(state)), Ready, _LIMIT_S)
        content, read = demand.settle(normalise_state(state.read_bytes()))
        assert read
        state.write_bytes(content)
        restoring = demand.write_restoring(tmp_path / "restoring", read)
        request = Open(
            config=str(restoring), seed=seed, state_file=str(state), reads=(str(scenario),)
        )
        with fork_server.open(request) as restored:
            points = decision_points(signals.values(), seen, BuildOptions())
            proof = Proof.of(LiveRollouts(live, fork_server), points, BuildOptions())
            assert proof.holds_for(restored) == is_exact
            assert [outcome.decision.kind for outcome in proof.outcomes("c")] == ["extend"] * 2


def test_many_rollouts_of_a_moment_are_restored_and_equal_forks(
    tmp_path: Path, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four signals: the live simulation goes on between moments, and nothing is as before then."""
    monkeypatch.setattr(live_rollouts, "_FEW", 2)
    scenario = tmp_path / "scenario"
    load_scenario(OWN["grid2x2"]).write(scenario)
    opened = Open(config=str(scenario / CONFIG_NAME), seed=_SEED)
    with fork_server.open(opened) as live:
        question = Describe(min_green_s=5, max_green_s=60)
        signals = live.call(question, Described, _LIMIT_S).signals
        rollouts, seen = LiveRollouts(live, fork_server), []
        for time_s in (320, 327):
            live.call(Advance(to_s=time_s), Ready, _LIMIT_S)
            shown = live.call(Observe(tls_ids=tuple(signals)), Observed, _LIMIT_S)
            points = decision_points(signals.values(), shown, BuildOptions())
            proof = Proof.of(rollouts, points, BuildOptions())
            for rollout, outcome in proof.shown:
                forked = rollout.model_copy(update={"is_forked": True})
                assert live.call(forked, RolloutOutcome, _LIMIT_S).seen == outcome.seen
                assert outcome.made_by == ("restore" if CAN_RESTORE else "fork")
            seen.append(proof.shown[0][1].seen)
        assert seen[0] != seen[1]
