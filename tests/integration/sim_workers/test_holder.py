"""Simulations that are forked, moved on, spawned and replayed stay the uninterrupted one."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from shared.dataset import Action
from shared.decisions import Cycle, CycleGreen, Decision, Extend
from shared.errors import HolderLost, RolloutError
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Advance,
    Describe,
    Described,
    Open,
    Ready,
    Replay,
    Rollout,
    RolloutOutcome,
    SignalDecision,
)
from sim_workers.engine.policies import PolicySpec
from sim_workers.pool.checkpoints import CheckpointCache
from sim_workers.scenarios.scenario import load_scenario
from tests.integration.conftest import OWN
from tests.integration.sim_workers.variants import VARIANTS

_LIMIT_S = 60.0
_SEED = 7
_THREADS = 12
_MANY_BYTES = 3_000_000
"""More demand than SUMO reads ahead."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The crossing."""
    return load_scenario(OWN["crossing"]).write(tmp_path / "scenario")


@pytest.fixture
def large_demand(tmp_path: Path) -> Path:
    """The crossing with vehicles one by one, in a file that SUMO reads in several goes."""
    folder = tmp_path / "large"
    config = load_scenario(OWN["crossing"]).write(folder)
    network = next(folder.glob("*.net.xml")).name
    edges = re.findall(r'<edge id="([a-z]_(?:in|out))"', (folder / network).read_text())
    enter = [edge for edge in edges if edge.endswith("_in")]
    leave = [edge for edge in edges if edge.endswith("_out")]
    padding = "x" * (_MANY_BYTES // 1200)
    trips = [
        f'<trip id="{i}" depart="{i}" from="{enter[i % 4]}" to="{leave[(i + 1 + i // 4 % 3) % 4]}">'
        f'<param key="padding" value="{padding}"/></trip>'
        for i in range(1200)
    ]
    (folder / "demand.rou.xml").write_text(f"<routes>{''.join(trips)}</routes>")
    config.write_text(
        f'<configuration><net-file value="{network}"/><route-files value="demand.rou.xml"/>'
        '<time-to-teleport value="-1"/></configuration>'
    )
    return config


def _open(fork_server: ForkServer, config: Path) -> SimulationHandle:
    return fork_server.open(Open(config=str(config), seed=_SEED))


def test_threads_share_a_fork_server(fork_server: ForkServer, config: Path) -> None:
    """Whoever asks at the same time is given a process of its own, and its own."""
    with ThreadPoolExecutor(_THREADS) as threads:
        holders = list(threads.map(lambda _: _open(fork_server, config), range(_THREADS)))
    assert len({holder.pid for holder in holders}) == _THREADS
    for ended, *others in (holders[index:] for index in range(_THREADS)):
        ended.kill()
        for holder in others:
            holder.time_s(_LIMIT_S)


def _ahead(holder: SimulationHandle, seconds: int = 60) -> RolloutOutcome:
    """What the next seconds bring, and a digest of everybody's way."""
    rollout = Rollout(
        signal_decisions=(), observe=("c",), horizon_s=seconds, trace_s=seconds, limit_s=_LIMIT_S
    )
    return holder.call(rollout, RolloutOutcome, _LIMIT_S)


def test_forks_do_not_disturb_the_simulation(fork_server: ForkServer, large_demand: Path) -> None:
    """A simulation that was forked all along, each child reading on, moves as one left in peace."""
    with _open(fork_server, large_demand) as forked, _open(fork_server, large_demand) as alone:
        for time_s in range(100, 1000, 100):
            forked.call(Advance(to_s=time_s), Ready, _LIMIT_S)
            _ahead(forked, 200)
        alone.call(Advance(to_s=900), Ready, _LIMIT_S)
        assert _ahead(forked) == _ahead(alone)
        assert _ahead(alone).unwrap().queue_veh > 0


def test_child_that_was_kept_ready_does_not_outlive_its_moment(
    fork_server: ForkServer, config: Path
) -> None:
    """After a step the next rollout starts where the simulation is, not where the child was."""
    with _open(fork_server, config) as holder, _open(fork_server, config) as other:
        holder.call(Advance(to_s=300), Ready, _LIMIT_S)
        before = _ahead(holder)
        holder.call(Advance(to_s=340), Ready, _LIMIT_S)
        other.call(Advance(to_s=340), Ready, _LIMIT_S)
        assert _ahead(holder) == _ahead(other) != before


def test_spawned_simulation_is_its_own(fork_server: ForkServer, config: Path) -> None:
    """It is where its parent was, and neither moves with the other."""
    with _open(fork_server, config) as parent:
        parent.call(Advance(to_s=300), Ready, _LIMIT_S)
        here = _ahead(parent)
        with parent.spawn(_LIMIT_S) as child:
            assert _ahead(child) == here
            child.call(Advance(to_s=360), Ready, _LIMIT_S)
            assert _ahead(parent) == here
            parent.call(Advance(to_s=360), Ready, _LIMIT_S)
            assert _ahead(child) == _ahead(parent) != here
            parent.kill()
            assert _ahead(child).unwrap().queue_veh >= 0


@pytest.mark.parametrize("times_s", [(1100.0, 400.0, 750.0), (400.0, 1000.0, 1000.0)])
def test_checkpoints_lead_where_the_whole_run_leads(
    times_s: tuple[float, ...], fork_server: ForkServer, large_demand: Path
) -> None:
    """In whatever order moments are asked for, decisions on the way included."""
    policy = PolicySpec(name="random")
    with _open(fork_server, large_demand) as live:
        actions = _advanced(live, max(times_s), policy)
    begin = Open(config=str(large_demand), seed=_SEED)
    with closing(CheckpointCache(fork_server, max_checkpoints=3)) as checkpoints:
        for time_s in times_s:
            replay = Replay(to_s=time_s, actions=tuple(a for a in actions if a.time_s < time_s))
            forked = checkpoints.fork_at("run", begin, replay, lambda: _LIMIT_S)
            whole = fork_server.open(begin.model_copy(update={"replay": replay}))
            with forked, whole:
                assert _ahead(forked) == _ahead(whole)
    assert any(action.remaining_s > 0 for action in actions)


def test_fork_that_ran_out_of_time_is_continued(
    fork_server: ForkServer, large_demand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was climbed stays: the run is not begun a second time, and leads to the same place."""
    begins: list[Open] = []
    whole_open = fork_server.open

    def counted(request: Open, limit_s: float) -> SimulationHandle:
        begins.append(request)
        return whole_open(request, limit_s)

    begin, replay = Open(config=str(large_demand), seed=_SEED), Replay(to_s=1000)
    with whole_open(begin.model_copy(update={"replay": replay})) as whole:
        expected = _ahead(whole)
    monkeypatch.setattr(fork_server, "open", counted)
    left_s = iter([_LIMIT_S] * 4 + [0.0])  # begin, look at the clock, two rungs, and no more
    with closing(CheckpointCache(fork_server, max_checkpoints=8)) as checkpoints:
        with pytest.raises(HolderLost, match="did not answer"):
            checkpoints.fork_at("run", begin, replay, lambda: next(left_s))
        with checkpoints.fork_at("run", begin, replay, lambda: _LIMIT_S) as forked:
            assert _ahead(forked) == expected
    assert len(begins) == 1


def _advanced(live: SimulationHandle, to_s: float, policy: PolicySpec) -> list[Action]:
    live.call(Describe(min_green_s=5, max_green_s=60), Described, _LIMIT_S)
    return list(live.call(Advance(to_s=to_s, policy=policy), Ready, _LIMIT_S).actions)


def test_decision_about_a_program_that_is_switched_away(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """What is still to be told to the signal cannot be; what was told at once is carried out."""
    config = load_scenario(VARIANTS["switched_programs"](tmp_path)).write(tmp_path / "scenario")
    cycle = Cycle(greens=(CycleGreen(phase=0, green_s=30), CycleGreen(phase=2, green_s=30)))
    with _open(fork_server, config) as holder:
        holder.call(Advance(to_s=100), Ready, _LIMIT_S)
        assert holder.call(_decided(Extend(extend=True)), RolloutOutcome, _LIMIT_S)
        with pytest.raises(RolloutError, match="changed from program 'day'") as refused:
            holder.call(_decided(cycle), RolloutOutcome, _LIMIT_S)
        assert refused.value.code == "program_switched"


def _decided(decision: Decision) -> Rollout:
    order = SignalDecision(
        tls_id="c", decision=decision, elapsed_s=10, min_green_s=5, max_green_s=60
    )
    return Rollout(signal_decisions=(order,), observe=("c",), horizon_s=60, limit_s=_LIMIT_S)
