"""A state that is replayed from a checkpoint moves every vehicle as one restored from its file."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import RolloutRejected
from shared.legality import legal_decisions
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.engine.policies import PolicySpec
from sim_workers.pool.checkpoints import CheckpointCache
from sim_workers.pool.openings import Openings
from sim_workers.pool.rollout import files_of, make_rollout
from sim_workers.states.store import StateStore, StoredState
from tests.integration.conftest import CITIES, OWN

_LIMIT_S = 60.0
_FEW = 4
"""Checkpoints, so that some are let go."""


pytestmark = pytest.mark.usefixtures("one_fork_server")


@pytest.fixture
def openings(fork_server: ForkServer) -> Iterator[Openings]:
    """With room for few checkpoints."""
    with closing(CheckpointCache(fork_server, _FEW)) as checkpoints:
        yield Openings(fork_server, checkpoints)


def _proven(dataset: Path) -> list[StoredState]:
    """The states that are restored from a file, in no order."""
    states = [s for s in StateStore.open([dataset]) if s.record.restore == "state"]
    random.Random(3).shuffle(states)
    return states


def _rollouts(state: StoredState) -> list[Rollout]:
    """All that was proven at the first signal: each legal decision, and none; all with traces."""
    tls_id = min(state.record.proven)
    shown, signal = state.record.signals[tls_id], state.signal(tls_id)
    decisions = [None, *legal_decisions("extend", signal, shown, 5)]
    return [
        make_rollout(state, {tls_id: decision}, 60).model_copy(
            update={"limit_s": _LIMIT_S, "trace_s": 60}
        )
        for decision in decisions
    ]


def _outcomes(openings: Openings, folder: Path, state: StoredState, way: str) -> list[str]:
    rollouts = _rollouts(state)
    files = files_of(state, rollouts[0], with_choice=way == "replay")
    if way == "replay":
        files = replace(files, state=None, replay=None)
    source = openings.unpack(folder, f"{rollouts[0].simulation}-{way}", files)
    with openings.open(rollouts[0], source, lambda: _LIMIT_S) as holder:
        found = [holder.call(each, RolloutOutcome, _LIMIT_S) for each in rollouts]
    assert all(one.trace and one.metrics for one in found)
    return [one.model_dump_json() for one in found]


@pytest.mark.parametrize("scenario", [*CITIES, *OWN])
def test_both_ways_are_the_same(
    scenario: str, dataset_of: Callable[[str], Path], openings: Openings, tmp_path: Path
) -> None:
    """Whichever is cheaper: every vehicle's way over a minute, under every legal decision."""
    states = _proven(dataset_of(scenario))
    assert len(states) >= _FEW
    for state in states:
        ways = [_outcomes(openings, tmp_path, state, way) for way in ("file", "replay")]
        assert ways[0] == ways[1], state.record.state_id


def test_what_the_policy_did_is_repeated(openings: Openings, tmp_path: Path) -> None:
    """A run whose signals were decided at random on the way."""
    dataset = tmp_path / "grid"
    policy = PolicySpec(name="random")
    options = BuildOptions(seeds=(3,), states=3, end_s=1200, policy=policy)
    build_dataset(OWN["grid2x2"], dataset, options)
    states = _proven(dataset)
    assert any(state.actions() for state in states)
    for state in states:
        ways = [_outcomes(openings, tmp_path, state, way) for way in ("file", "replay")]
        assert ways[0] == ways[1], state.record.state_id


def test_replay_to_another_moment_is_refused(
    dataset_of: Callable[[str], Path], openings: Openings, tmp_path: Path
) -> None:
    """If SUMO computes something else here than where the dataset was built."""
    state = _proven(dataset_of("crossing"))[0]
    rollout = _rollouts(state)[0]
    files = replace(files_of(state, rollout, with_choice=True), state=None, origin_digest="0" * 16)
    source = openings.unpack(tmp_path, "other", files)
    with pytest.raises(RolloutRejected, match="another simulation") as refused:
        openings.open(rollout, source, lambda: _LIMIT_S)
    assert refused.value.code == "environment_differs"
