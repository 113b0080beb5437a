"""Processes are killed, stopped and run out of time; no value changes and nothing is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import HolderLost, RolloutRejected
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Observe, Observed, Open, Rollout
from sim_workers.pool.worker import StateWorker
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.store import StateStore
from tests.integration.sim_workers.process_tree import (
    children,
    descendants,
    fork_server_of,
    fork_servers_of,
    is_alive,
    rollouts_of,
    wait_for,
)
from tests.integration.sim_workers.rolling import (
    ENDLESS_S,
    make_worker,
    roll_out,
    rollout_in,
    run_rollout,
)

ROOT = Path(__file__).parents[3]
_KEPT = 2
"""A child that is kept ready, or one that is put back and its twin."""
LONG_S = 3000
"""A horizon long enough to be met under way."""


@pytest.fixture
def dataset(dataset_of: Callable[[str], Path]) -> Path:
    """The crossing's states."""
    return dataset_of("crossing")


@pytest.fixture
def state_ids(dataset: Path) -> list[str]:
    """Their ids."""
    return [state.record.state_id for state in StateStore.open([dataset])]


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers' files lie in the test's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def worker() -> Iterator[StateWorker]:
    """A worker with real simulation processes, in this process."""
    worker = make_worker()
    yield worker
    worker.close()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """A thread in which a rollout runs while the test does harm."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def _busy_holder(owner: int, spared: frozenset[int] = frozenset()) -> int | None:
    """A holder with a rollout under way."""
    holders = [pid for fork_server in fork_servers_of(owner) for pid in children(fork_server)]
    return next((pid for pid in holders if pid not in spared and rollouts_of(pid)), None)


def _wait_for_rollout(spared: frozenset[int] = frozenset()) -> int:
    return wait_for(lambda: _busy_holder(os.getpid(), spared), "a rollout") or 0


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _code(outcome: Metrics | ErrorInfo) -> str:
    assert isinstance(outcome, ErrorInfo), outcome
    return outcome.code


def test_killed_holder_changes_no_value(
    worker: StateWorker, background: ThreadPoolExecutor, dataset: Path, state_ids: list[str]
) -> None:
    """A holder that is killed during a rollout is rebuilt and gives the same metrics."""
    expected = roll_out(worker, dataset, state_ids[0], horizon_s=LONG_S)
    outcome = background.submit(roll_out, worker, dataset, state_ids[0], horizon_s=LONG_S)
    os.kill(_wait_for_rollout(), signal.SIGKILL)
    assert isinstance(expected, Metrics)
    assert outcome.result() == expected
    assert worker.holder_starts == 2


def test_holder_killed_twice_over_one_rollout_is_reported(
    worker: StateWorker, background: ThreadPoolExecutor, dataset: Path, state_ids: list[str]
) -> None:
    """The rollout fails with ``holder_lost``; the next one is scored again."""
    outcome: Future[Metrics | ErrorInfo] = background.submit(
        roll_out, worker, dataset, state_ids[0], horizon_s=ENDLESS_S
    )
    first = _wait_for_rollout()
    os.kill(first, signal.SIGKILL)
    os.kill(_wait_for_rollout(frozenset({first})), signal.SIGKILL)
    failed = outcome.result()
    assert _code(failed) == "holder_lost"
    assert isinstance(failed, ErrorInfo)
    assert failed.retryable
    assert isinstance(roll_out(worker, dataset, state_ids[0]), Metrics)


def test_rollouts_process_that_is_killed_is_reported(
    worker: StateWorker, background: ThreadPoolExecutor, dataset: Path, state_ids: list[str]
) -> None:
    """The rollout crashed, its holder did not: it goes on without a new start."""
    outcome = background.submit(roll_out, worker, dataset, state_ids[0], horizon_s=ENDLESS_S)
    _kill_all(rollouts_of(_wait_for_rollout()))
    assert _code(outcome.result()) == "rollout_crashed"
    assert isinstance(roll_out(worker, dataset, state_ids[0]), Metrics)
    assert worker.holder_starts == 1


def test_killed_fork_server_is_started_again(
    worker: StateWorker, dataset: Path, state_ids: list[str]
) -> None:
    """Its holders die with it, and each is rebuilt when it is needed."""
    expected = [roll_out(worker, dataset, state_id) for state_id in state_ids[:2]]
    fork_server = fork_server_of(os.getpid())
    holders = children(fork_server)
    os.kill(fork_server, signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, holders)), "the holders to die with their fork server")
    assert [roll_out(worker, dataset, state_id) for state_id in state_ids[:2]] == expected
    assert worker.holder_starts == 4


def test_rollout_over_its_limit_is_ended(dataset: Path, state_ids: list[str]) -> None:
    """Its process is gone when the answer comes, its holder is well, and the next is scored."""
    worker = make_worker(rollout_timeout_s=0.3)
    try:
        slow = roll_out(worker, dataset, state_ids[0], horizon_s=ENDLESS_S)
        assert _code(slow) == "rollout_timeout"
        (holder,) = children(fork_server_of(os.getpid()))
        wait_for(lambda: rollouts_of(holder) == [], "the rollout to end")
        assert isinstance(roll_out(worker, dataset, state_ids[0], horizon_s=1), Metrics)
        assert children(fork_server_of(os.getpid())) == [holder]
    finally:
        worker.close()


def test_callers_deadline_ends_a_rollout(
    worker: StateWorker, dataset: Path, state_ids: list[str]
) -> None:
    """It is told apart from the worker's own limit, and leaves no process either."""
    roll_out(worker, dataset, state_ids[0])
    late = roll_out(worker, dataset, state_ids[0], horizon_s=ENDLESS_S, remaining_s=0.3)
    assert _code(late) == "deadline_exceeded"
    (holder,) = children(fork_server_of(os.getpid()))
    wait_for(lambda: rollouts_of(holder) == [], "the rollout to end")


def test_rollouts_leave_no_zombies(
    worker: StateWorker, dataset: Path, state_ids: list[str]
) -> None:
    """After any number of rollouts the holder has no dead child, and few that live."""
    for _ in range(20):
        roll_out(worker, dataset, state_ids[0], horizon_s=1)
    (holder, *_) = children(fork_server_of(os.getpid()))
    wait_for(lambda: all(map(is_alive, children(holder))), "ended rollouts to be reaped")
    assert len(children(holder)) <= _KEPT


def test_holders_let_go_end_and_are_reaped(dataset: Path, state_ids: list[str]) -> None:
    """Beyond two, the least recently used holder's process is gone, not even a zombie."""
    worker = make_worker(max_holders=2)
    try:
        roll_out(worker, dataset, state_ids[0])
        (first,) = children(fork_server_of(os.getpid()))
        for state_id in (state_ids[1], state_ids[0], state_ids[2]):
            roll_out(worker, dataset, state_id)
        fork_server = fork_server_of(os.getpid())
        wait_for(lambda: len(children(fork_server)) == 2, "the third holder to end")
        assert first in children(fork_server)
        assert worker.holder_starts == 3
        second = rollout_in(dataset, state_ids[1], "c", None)
        assert worker.run([second]) is None, "its files are gone, too"
    finally:
        worker.close()
    wait_for(lambda: not is_alive(first), "the holder to die with its fork server")


def test_simulations_end_with_their_owner(dataset: Path, state_ids: list[str]) -> None:
    """An owner that is killed takes its fork server, its holders and their rollouts with it."""
    command = [sys.executable, "-m", f"{__package__}.owner", str(dataset), state_ids[0]]
    with subprocess.Popen(command, cwd=ROOT) as owner:
        holder = wait_for(lambda: _busy_holder(owner.pid), "a rollout of the owner")
        family = descendants(owner.pid)
        assert len(family) == 3  # fork server, holder, rollout
        assert holder in family
        owner.kill()
    wait_for(lambda: not any(map(is_alive, family)), "the owner's processes to end")


def test_rollout_that_nobody_waits_for_is_ended(dataset: Path) -> None:
    """A holder that is let go during a rollout ends, though its fork server lives on."""
    config = dataset / "scenario" / CONFIG_NAME
    with ForkServer() as fork_server:
        holder = fork_server.open(Open(config=str(config), seed=1))
        holder.send(
            Rollout(
                signal_decisions=(),
                observe=("c",),
                horizon_s=ENDLESS_S,
                limit_s=LONG_S,
                is_last=True,
            )
        )
        (rollout,) = wait_for(lambda: children(holder.pid), "the rollout")
        holder.close()
        wait_for(lambda: not is_alive(holder.pid) and not is_alive(rollout), "both to end")
        assert is_alive(fork_server_of(os.getpid()))


def test_files_of_a_killed_owner_are_removed_by_the_next(
    dataset: Path, state_ids: list[str], tmp_path: Path
) -> None:
    """Nobody else can: a killed process removes nothing."""
    command = [sys.executable, "-m", f"{__package__}.owner", str(dataset), state_ids[0]]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}) as owner:
        wait_for(lambda: _busy_holder(owner.pid), "a rollout of the owner")
        owner.kill()
    assert len(list(tmp_path.iterdir())) == 1
    make_worker().close()
    assert list(tmp_path.iterdir()) == []


def test_holder_that_does_not_answer_is_ended(dataset: Path) -> None:
    """One that hangs is killed when its time is over, and said to be lost."""
    config = dataset / "scenario" / CONFIG_NAME
    with ForkServer() as fork_server:
        holder = fork_server.open(Open(config=str(config), seed=1))
        os.kill(holder.pid, signal.SIGSTOP)
        with pytest.raises(HolderLost, match="did not answer"):
            holder.call(Observe(tls_ids=()), Observed, 0.2)
        wait_for(lambda: not is_alive(holder.pid), "the hanging holder to end")


def test_killed_checkpoint_changes_no_value(
    worker: StateWorker, dataset: Path, state_ids: list[str]
) -> None:
    """A replay whose simulations on the way were killed starts again from the run's begin."""
    rollouts = [rollout_in(dataset, state_id, "c", None, LONG_S) for state_id in state_ids[-2:]]
    expected = [run_rollout(worker, dataset, rollout) for rollout in rollouts]
    _kill_all(descendants(fork_server_of(os.getpid())))
    assert [run_rollout(worker, dataset, rollout) for rollout in rollouts] == expected
    assert all(isinstance(outcome, Metrics) for outcome in expected)


def test_signal_that_the_network_lacks(
    worker: StateWorker, dataset: Path, state_ids: list[str]
) -> None:
    """SUMO refuses it by its name."""
    outcome = run_rollout(worker, dataset, rollout_in(dataset, state_ids[0], "north", None))
    assert _code(outcome) == "rollout_rejected"
    assert isinstance(outcome, ErrorInfo)
    assert "'north'" in outcome.message
    assert not outcome.retryable


def test_scenario_that_sumo_refuses_says_why(tmp_path: Path) -> None:
    """SUMO's own words are in the message, and no process is left."""
    config = tmp_path / "broken.sumocfg"
    config.write_text('<configuration><net-file value="absent.net.xml"/></configuration>')
    with ForkServer() as fork_server:
        with pytest.raises(RolloutRejected, match=r"absent\.net\.xml"):
            fork_server.open(Open(config=str(config), seed=1))
        pid = fork_server_of(os.getpid())
        wait_for(lambda: children(pid) == [], "the refused holder to end")


def test_scenario_that_crashes_sumo_is_contained(tmp_path: Path, dataset: Path) -> None:
    """SUMO 1.28 dies of an empty network; the fork server lives on and opens the next."""
    (tmp_path / "empty.net.xml").write_text("<net/>")
    config = tmp_path / "empty.sumocfg"
    config.write_text('<configuration><net-file value="empty.net.xml"/></configuration>')
    with ForkServer() as fork_server:
        with pytest.raises(HolderLost, match="died"):
            fork_server.open(Open(config=str(config), seed=1))
        pid = fork_server_of(os.getpid())
        fork_server.open(Open(config=str(dataset / "scenario" / CONFIG_NAME), seed=1)).close()
        assert fork_server_of(os.getpid()) == pid
