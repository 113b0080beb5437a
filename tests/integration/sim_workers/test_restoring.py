"""Rollouts in a process that is put back equal those of forks, whatever happens in between."""

import ast
import os
import signal
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.decisions import Extend
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Look, Open, Ready, Replay, Rollout, Seen
from sim_workers.pool.rollout import files_of
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.scenarios.scenario import load_scenario
from sim_workers.states.store import StateStore
from tests.fuzz.restoring import (
    BEGIN_S,
    LIMIT_S,
    compare,
    outcome_of,
    what,
)
from tests.integration.conftest import OWN
from tests.integration.sim_workers.process_tree import children, fork_server_of, wait_for
from tests.integration.sim_workers.rolling import ENDLESS_S, rollout_in
from tests.kernel import CAN_RESTORE

pytestmark = pytest.mark.skipif(not CAN_RESTORE, reason="the kernel refuses userfaultfd")
_CHECK_EVERY = 4


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[SimulationHandle]:
    """The crossing after five minutes, whose rollouts are restored."""
    config = load_scenario(OWN["crossing"]).write(tmp_path / "scenario")
    opened = Open(config=str(config), seed=7)
    with ForkServer() as fork_server, fork_server.open(opened) as holder:
        holder.call(Replay(to_s=300), Ready, LIMIT_S)
        fork_server.keep(holder)
        yield holder


def _rollout(horizon_s: int = 30, limit_s: float = LIMIT_S, ticket: int = 0) -> Rollout:
    return Rollout(
        signal_decisions=(),
        observe=("c",),
        horizon_s=horizon_s,
        trace_s=min(horizon_s, 60),
        limit_s=limit_s,
        ticket=ticket,
    )


@contextmanager
def _nothing_changes(holder: SimulationHandle) -> Iterator[None]:
    """Restored rollouts are what a fork is, before and after; and they are restored again."""
    forked = outcome_of(holder, _rollout(), is_forked=True)
    assert what(outcome_of(holder, _rollout())) == what(forked)
    yield
    assert what(outcome_of(holder, _rollout())) == what(forked)
    again = outcome_of(holder, _rollout())
    assert what(again) == what(forked)
    assert again.made_by == "restore"


@pytest.mark.parametrize("network", sorted(BEGIN_S))
def test_random_rollouts_equal_forks(network: str) -> None:
    """On nine networks: decisions of all kinds, follow-ups and horizons in random order."""
    count = 125 if network != "ingolstadt21" else 25
    found = compare(network, seed=len(network), count=count, max_horizon_s=12)
    assert (found.restored, found.forked_instead, found.differing) == (count, 0, 0)


def test_rollout_that_times_out_is_ended_alone(holder: SimulationHandle) -> None:
    """The next one is restored in another process."""
    with _nothing_changes(holder):
        late = outcome_of(holder, _rollout(ENDLESS_S, limit_s=0.2))
        assert late.error is not None
        assert late.error.code == "rollout_timeout"


def test_rollout_that_is_cancelled_is_ended_alone(holder: SimulationHandle) -> None:
    """In the middle."""
    with _nothing_changes(holder), ThreadPoolExecutor(1) as thread:
        outcome = thread.submit(outcome_of, holder, _rollout(ENDLESS_S, ticket=5))
        _wait_until_it_runs(holder)
        holder.cancel(5)
        error = outcome.result().error
        assert error is not None
        assert error.code == "cancelled"


def test_rollout_whose_process_is_killed_is_done_by_a_fork(holder: SimulationHandle) -> None:
    """A crash, or whatever it was, costs a fork; and is told."""
    with _nothing_changes(holder), ThreadPoolExecutor(1) as thread:
        forked = outcome_of(holder, _rollout(1500), is_forked=True)
        outcome = thread.submit(outcome_of, holder, _rollout(1500))
        os.kill(_wait_until_it_runs(holder), signal.SIGKILL)
        assert what(outcome.result()) == what(forked)
        assert outcome.result().made_by == "fork"
        assert outcome.result().not_restored == ("ended",)


def test_rollout_that_needs_more_memory_is_done_by_a_fork(holder: SimulationHandle) -> None:
    """The reserve is not enough for an hour of new vehicles; a fork may ask for more."""
    with _nothing_changes(holder):
        outcome = outcome_of(holder, _hour := _rollout(3000))
        assert what(outcome) == what(outcome_of(holder, _hour, is_forked=True))


def test_moment_that_passes_takes_its_process_along(holder: SimulationHandle) -> None:
    """After a step, rollouts start where the simulation is now."""
    before = outcome_of(holder, _rollout())
    holder.call(Replay(to_s=340), Ready, LIMIT_S)
    with _nothing_changes(holder):
        assert what(outcome_of(holder, _rollout())) != what(before)


def test_keeper_that_dies_takes_its_processes_along(holder: SimulationHandle) -> None:
    """Rollouts go on by forks."""
    forked = outcome_of(holder, _rollout(), is_forked=True)
    outcome_of(holder, _rollout())
    fork_server = fork_server_of(os.getpid())
    (keeper,) = (pid for pid in children(fork_server) if pid != holder.pid)
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: children(holder.pid) == [], "the kept processes to end with their keeper")
    first, second = outcome_of(holder, _rollout()), outcome_of(holder, _rollout())
    assert what(first) == what(second) == what(forked)
    assert (first.not_restored, second.not_restored) == (("keeper_lost", "given_up"), ())


def test_nothing_outlives_a_holder(holder: SimulationHandle) -> None:
    """Neither keeper nor twin nor child."""
    outcome_of(holder, _rollout())
    fork_server = fork_server_of(os.getpid())
    assert len(children(holder.pid)) == 2
    holder.kill()
    wait_for(lambda: children(fork_server) == [], "the keeper to end")


def _wait_until_it_runs(holder: SimulationHandle) -> int:
    """Waits for the restorable process to use processor time; returns its id."""
    before = {pid: _ticks(pid) for pid in children(holder.pid)}

    def busy() -> int | None:
        ticks = {pid: _ticks(pid) for pid in children(holder.pid)}
        return next((pid for pid in ticks if ticks[pid] > before.get(pid, 0) + 2), None)

    return int(wait_for(busy, "the rollout to run") or 0)


def _ticks(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    except OSError:
        return 0


def _move_a_vehicle(worker: StateWorker) -> None:
    """Writes another position of a vehicle into the one page that its state is put back from."""
    (held,) = worker._holders.values()
    seen = held.holder.call(Look(in_full=True), Seen, LIMIT_S).things
    moving = [ast.literal_eval(text) for name, text in seen.items() if name.startswith("vehicle ")]
    states = [struct.pack("<dd", position, speed) for _, position, speed in moving if speed > 1]
    links = [p for pid in children(held.holder.pid) for p in Path(f"/proc/{pid}/fd").iterdir()]
    store = next(path for path in links if "memfd:pristine" in str(path.readlink()))
    with store.open("r+b", buffering=0) as pages:
        content = pages.read()
        at = next(content.index(state) for state in states if state in content)
        pages.seek(at)
        pages.write(struct.pack("<d", struct.unpack_from("<d", content, at)[0] - 2))


class TestChecks:
    """A worker's own proof of it."""

    @pytest.fixture
    def dataset(self, dataset_of: Callable[[str], Path]) -> Path:
        """The crossing's states."""
        return dataset_of("crossing")

    @pytest.fixture
    def worker(self) -> Iterator[StateWorker]:
        """Checks every fourth rollout that it restores."""
        worker = StateWorker(WorkerLimits(300, 4, 4000, _CHECK_EVERY))
        yield worker
        worker.close()

    def test_corrupted_page_is_noticed(self, dataset: Path, worker: StateWorker) -> None:
        """The fork's value is given, what was restored since is named or done again in the same
        batch, and all are forks then.
        """
        state = next(iter(StateStore.open([dataset])))
        state_id = state.record.state_id
        rollout = rollout_in(dataset, state_id, "c", Extend(extend=False)).model_copy(
            update={"limit_s": LIMIT_S, "source": "file"}
        )
        (expected,) = worker.run([rollout], files_of(state, rollout)) or []

        three = [rollout.model_copy(update={"ticket": number}) for number in range(3)]
        first, *others = worker.run(three) or []
        assert [o.made_by for o in (first, *others)] == ["restore"] * 3
        assert (first.check, {o.check for o in others}) == ("equal", {None})

        _move_a_vehicle(worker)
        before, checked = worker.run([rollout.model_copy(update={"horizon_s": 59}), rollout]) or []
        assert (before.made_by, checked.check) == ("fork", "different"), "done again before it went"
        assert (checked.made_by, checked.metrics) == ("fork", expected.metrics)
        assert [r.ticket for r in checked.doubtful] == [1, 2], "answered since the last good check"
        (after,) = worker.run([rollout]) or []
        assert (after.made_by, after.metrics) == ("fork", expected.metrics)
