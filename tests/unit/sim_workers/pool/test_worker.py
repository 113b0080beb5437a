"""Which simulations a worker holds and lets go. The fork server is a fake."""

from dataclasses import replace
from pathlib import Path

from shared.errors import HolderLost, RolloutRejected, RolloutTimeout
from sim_workers.pool.worker import StateWorker, WorkerLimits
from tests.unit.sim_workers.pool.fake_simulations import (
    OF_A_FILE,
    World,
    metrics,
    results,
    rollout,
    run,
)


def test_files_are_asked_for_when_they_are_not_there(worker: StateWorker, world: World) -> None:
    """A state that the worker never had cannot be opened: the answer is None, not an error."""
    assert worker.run([rollout("a")]) is None
    assert world.opened == []


def test_state_is_opened_once(worker: StateWorker, world: World) -> None:
    """Later batches find its holder, and need no files."""
    run(worker, rollout("a"))
    again = worker.run([rollout("a")] * 2)
    assert results(again) == [metrics(10), metrics(10)]
    assert world.opened == ["a"]
    assert worker.holder_starts == 1


def test_child_is_kept_ready_for_what_is_asked_for_again(worker: StateWorker, world: World) -> None:
    """Most states are not: the batch that opens one says which rollout is the last."""
    run(worker, rollout("a"), rollout("a"))
    run(worker, rollout("a"))
    run(worker, rollout("b"))
    assert world.are_last == [False, True, False, True]


def test_scenario_is_sent_once(worker: StateWorker) -> None:
    """A second state of a scenario comes without the scenario's files."""
    run(worker, rollout("a"))
    outcomes = worker.run([rollout("b")], replace(OF_A_FILE, scenario=None))
    assert results(outcomes) == [metrics(10)]


def test_state_without_its_scenario_is_not_enough(worker: StateWorker) -> None:
    """The scenario's files are needed, too."""
    assert worker.run([rollout("a")], replace(OF_A_FILE, scenario=None)) is None


def test_outcomes_stand_in_the_order_of_the_rollouts(worker: StateWorker) -> None:
    """One outcome a rollout, in order."""
    rollouts = [rollout("a", horizon_s) for horizon_s in (3, 1, 2)]
    assert run(worker, *rollouts) == [metrics(3), metrics(1), metrics(2)]


def test_least_recently_used_holder_goes_first(worker: StateWorker, world: World) -> None:
    """Beyond the number of holders, the one that was asked longest ago is let go."""
    for name in ("a", "b", "a", "c"):
        run(worker, rollout(name))
    assert world.living == ["a", "c"]
    assert worker.run([rollout("b")]) is None
    assert worker.run([rollout("a")]) is not None
    assert world.opened == ["a", "b", "c"]


def test_holders_are_let_go_until_memory_suffices(worker: StateWorker, world: World) -> None:
    """Beyond the memory, old holders go even though their number is allowed."""
    world.memory_mb = {"a": 6, "b": 5}
    run(worker, rollout("a"))
    run(worker, rollout("b"))
    assert world.living == ["b"]


def test_holder_larger_than_all_memory_is_kept_alone(worker: StateWorker, world: World) -> None:
    """A state that exceeds the bound by itself is still scored."""
    world.memory_mb = {"b": 99}
    run(worker, rollout("a"))
    assert run(worker, rollout("b")) == [metrics(10)]
    assert world.living == ["b"]


def test_holder_that_dies_is_rebuilt(worker: StateWorker, world: World) -> None:
    """The rollout is run again on a new holder, and nobody notices."""
    world.answers = [HolderLost("gone")]
    assert run(worker, rollout("a")) == [metrics(10)]
    assert world.opened == ["a", "a"]
    assert world.living == ["a"]


def test_holder_that_dies_twice_is_reported(worker: StateWorker, world: World) -> None:
    """The rollout fails with ``holder_lost``; the next one gets a new holder."""
    world.answers = [HolderLost("gone"), HolderLost("gone again")]
    first, second = run(worker, rollout("a"), rollout("a"))
    assert first == "holder_lost"
    assert second == metrics(10)
    assert world.opened == ["a", "a", "a"]


def test_refusal_fails_one_rollout_only(worker: StateWorker, world: World) -> None:
    """What SUMO refuses is not tried again, and the others are scored."""
    world.answers = [RolloutRejected("no")]
    first, second = run(worker, rollout("a"), rollout("a"))
    assert first == "rollout_rejected"
    assert second == metrics(10)
    assert world.opened == ["a"]


def test_own_limit_and_callers_deadline_are_told_apart(worker: StateWorker, world: World) -> None:
    """A rollout that was ended before the deadline ran into the worker's own limit."""
    world.answers = [RolloutTimeout("slow")]
    assert run(worker, rollout("a"))[0] == "rollout_timeout"


def test_rollout_past_its_deadline_does_not_start(worker: StateWorker, world: World) -> None:
    """Nothing is opened for a caller who has gone."""
    outcomes = run(worker, rollout("a", limit_s=-1), rollout("a"))
    assert outcomes[0] == "deadline_exceeded"
    assert outcomes[1] == metrics(10)
    assert world.opened == ["a"]


def test_closing_removes_everything(world: World, tmp_path: Path) -> None:
    """No holder and no file is left."""
    worker = StateWorker(WorkerLimits(30, 2, 10))
    run(worker, rollout("a"))
    assert list(tmp_path.iterdir())
    worker.close()
    assert list(tmp_path.iterdir()) == []
    assert world.living == []


def test_files_of_dead_workers_are_swept(world: World, tmp_path: Path) -> None:
    """A worker that was killed left its folder; the next worker removes it, and only it."""
    dead = tmp_path / "greenfork-worker-999999999-x"
    other = tmp_path / "something-else"
    for folder in (dead, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    living, other_living = (StateWorker(WorkerLimits(30, 2, 10)) for _ in range(2))
    for each in (living, other_living):
        run(each, rollout("a", limit_s=-1))
    other_living.close()
    assert not dead.exists()
    assert other.exists()
    assert len(list(tmp_path.iterdir())) == 2
    living.close()


def test_cancelled_before_its_turn_is_not_begun(worker: StateWorker, world: World) -> None:
    """The other rollouts of its batch are."""
    sent: list[int] = []
    world.when_sent = sent.append
    worker.cancel([2])
    first, second, third = run(worker, *(rollout("a", ticket=n) for n in (1, 2, 3)))
    assert (sent, second) == ([1, 3], "cancelled")
    assert first == third == metrics(10)


def test_cancelled_while_it_runs_is_ended(worker: StateWorker, world: World) -> None:
    """The holder that is at it is told, and of no other rollout."""
    world.while_running = lambda _: worker.cancel([7, 9])
    run(worker, rollout("a", ticket=7), rollout("a", ticket=8))
    assert world.cancelled == [7]


def test_cancellations_are_forgotten_with_their_batch(worker: StateWorker) -> None:
    """A ticket means nothing to the next batch."""
    worker.cancel([1])
    assert run(worker, rollout("a", ticket=1)) == ["cancelled"]
    assert run(worker, rollout("a", ticket=1)) == [metrics(10)]
