"""Which simulations a worker holds and lets go. The fork server is a fake."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shared.dataset import Action
from shared.errors import HolderLost, RolloutRejected, RolloutTimeout
from shared.rewards import Metrics
from sim_workers.engine.messages import (
    Look,
    Open,
    Ready,
    Replay,
    Rollout,
    RolloutOutcome,
    Seen,
    Source,
)
from sim_workers.pool import worker as worker_module
from sim_workers.pool.rollout import StateFiles
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME

_CONFIG = b'<configuration><net-file value="n"/></configuration>'
_FILES = {"scenario.sumocfg": _CONFIG}
_OF_A_FILE = StateFiles("town", _FILES, "run", 1, 1.0, state=b"<snapshot/>", read={})
_DIGEST = "0123456789abcdef"
_REPLAYED = StateFiles(
    "town", _FILES, "run", 1, 1.0, replay=Replay(to_s=50), digest=_DIGEST, read={}
)
_LANDMARK = Replay(to_s=60, actions=(Action(time_s=5, tls_id="c", remaining_s=1),))


@dataclass
class _World:
    """What happened to the holders, and what they should do."""

    opened: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    """With which they were opened."""
    living: list[str] = field(default_factory=list)
    memory_mb: dict[str, float] = field(default_factory=dict)
    answers: list[Exception | None] = field(default_factory=list)
    """For each of the next rollouts: what it raises, or None."""
    when_sent: Callable[[int], None] | None = None
    """Told the ticket of each rollout that a holder gets."""
    while_running: Callable[[int], None] | None = None
    """Told the ticket of each rollout while its answer is waited for."""
    are_last: list[bool] = field(default_factory=list)
    """Of each rollout, whether no child need be kept ready after it."""
    cancelled: list[int] = field(default_factory=list)
    """Tickets that holders were told to end."""
    digest: str = "0123456789abcdef"
    """Of where everything is in every simulation."""
    replays: list[Replay] = field(default_factory=list)
    """Those of the checkpoint cache."""


class _SimulationServer:
    def __init__(self, world: _World, name: str) -> None:
        self._world, self._name = world, name

    def send(self, request: Rollout) -> None:
        self._request = request
        self._world.are_last.append(request.is_last)
        if self._world.when_sent:
            self._world.when_sent(request.ticket)

    def cancel(self, ticket: int) -> None:
        self._world.cancelled.append(ticket)

    def receive(self, reply: type[RolloutOutcome], limit_s: float) -> RolloutOutcome:
        if self._world.while_running:
            self._world.while_running(self._request.ticket)
        error = self._world.answers.pop(0) if self._world.answers else None
        if error is not None:
            raise error
        assert limit_s > self._request.limit_s
        return RolloutOutcome(metrics=_metrics(self._request.horizon_s))

    def call(self, request: Look | Replay, reply: type[Any], limit_s: float) -> Seen | Ready:
        assert limit_s > 0
        if isinstance(request, Look):
            return Seen(digest=self._world.digest)
        self._world.replays.append(request)
        return Ready(time_s=request.to_s)

    def spawn(self, limit_s: float) -> "_SimulationServer":
        self._world.living.append("fork")
        return _SimulationServer(self._world, "fork")

    def time_s(self, limit_s: float) -> float:
        self.call(Replay(to_s=0), Ready, limit_s)
        return 0

    def own_memory_mb(self) -> float:
        return self._world.memory_mb.get(self._name, 1)

    def close(self) -> None:
        self._world.living.remove(self._name)

    kill = close


class _ForkServer:
    """Begins runs under the name ``begin``, and continues states under that of their folder."""

    world = _World()

    def __init__(self, max_memory_bytes: int) -> None:
        assert max_memory_bytes == 4 << 30, "the least, where holders may take less together"

    def open(self, request: Open, limit_s: float) -> _SimulationServer:
        assert limit_s > 0
        assert Path(request.config).exists()
        name = "begin"
        if request.state_file is not None:
            assert Path(request.state_file).exists()
            name = Path(request.state_file).parent.name.removesuffix(".state")
        self.world.configs.append(Path(request.config).name)
        self.world.opened.append(name)
        self.world.living.append(name)
        return _SimulationServer(self.world, name)

    def close(self) -> None:
        self.world.living.clear()


def _metrics(queue: float) -> Metrics:
    return Metrics(
        queue_veh=queue,
        queue_veh_max=queue,
        wait_s=0,
        throughput_veh=0,
        pressure_veh=0,
        network_queue_veh=0,
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _World:
    """A world in which simulations are made up."""
    monkeypatch.setattr(_ForkServer, "world", _World())
    monkeypatch.setattr(worker_module, "ForkServer", _ForkServer)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return _ForkServer.world


@pytest.fixture
def worker(world: _World) -> Iterator[StateWorker]:
    """A worker that may hold two states, or 10 MB of them."""
    worker = StateWorker(WorkerLimits(30, max_holders=2, max_holder_memory_mb=10))
    yield worker
    worker.close()


def _rollout(
    name: str, horizon_s: int = 10, limit_s: float = 100, ticket: int = 0, source: Source = "file"
) -> Rollout:
    return Rollout(
        state_id=name,
        source=source,
        signal_decisions=(),
        observe=("c",),
        horizon_s=horizon_s,
        limit_s=limit_s,
        ticket=ticket,
    )


def _run(worker: StateWorker, *rollouts: Rollout) -> list[Metrics | str]:
    return _results(worker.run(rollouts, _OF_A_FILE))


def _results(outcomes: Sequence[RolloutOutcome] | None) -> list[Metrics | str]:
    """The metrics of each, or the error's code."""
    assert outcomes is not None
    return [one.error.code if one.error else one.unwrap() for one in outcomes]


def test_files_are_asked_for_when_they_are_not_there(worker: StateWorker, world: _World) -> None:
    """A state that the worker never had cannot be opened: the answer is None, not an error."""
    assert worker.run([_rollout("a")]) is None
    assert world.opened == []


def test_state_is_opened_once(worker: StateWorker, world: _World) -> None:
    """Later batches find its holder, and need no files."""
    _run(worker, _rollout("a"))
    again = worker.run([_rollout("a")] * 2)
    assert _results(again) == [_metrics(10), _metrics(10)]
    assert world.opened == ["a"]
    assert worker.holder_starts == 1


def test_child_is_kept_ready_for_what_is_asked_for_again(
    worker: StateWorker, world: _World
) -> None:
    """Most states are not: the batch that opens one says which rollout is the last."""
    _run(worker, _rollout("a"), _rollout("a"))
    _run(worker, _rollout("a"), _rollout("a"))
    _run(worker, _rollout("b"))
    assert world.are_last == [False, True, False, False, True]


def test_scenario_is_sent_once(worker: StateWorker) -> None:
    """A second state of a scenario comes without the scenario's files."""
    _run(worker, _rollout("a"))
    outcomes = worker.run([_rollout("b")], replace(_OF_A_FILE, scenario=None))
    assert _results(outcomes) == [_metrics(10)]


def test_state_without_its_scenario_is_not_enough(worker: StateWorker) -> None:
    """The scenario's files are needed, too."""
    assert worker.run([_rollout("a")], replace(_OF_A_FILE, scenario=None)) is None


def test_outcomes_stand_in_the_order_of_the_rollouts(worker: StateWorker) -> None:
    """One outcome a rollout, in order."""
    rollouts = [_rollout("a", horizon_s) for horizon_s in (3, 1, 2)]
    assert _run(worker, *rollouts) == [_metrics(3), _metrics(1), _metrics(2)]


def test_least_recently_used_holder_goes_first(worker: StateWorker, world: _World) -> None:
    """Beyond the number of holders, the one that was asked longest ago is let go."""
    for name in ("a", "b", "a", "c"):
        _run(worker, _rollout(name))
    assert world.living == ["a", "c"]
    assert worker.run([_rollout("b")]) is None
    assert worker.run([_rollout("a")]) is not None
    assert world.opened == ["a", "b", "c"]


def test_holders_are_let_go_until_memory_suffices(worker: StateWorker, world: _World) -> None:
    """Beyond the memory, old holders go even though their number is allowed."""
    world.memory_mb = {"a": 6, "b": 5}
    _run(worker, _rollout("a"))
    _run(worker, _rollout("b"))
    assert world.living == ["b"]


def test_holder_larger_than_all_memory_is_kept_alone(worker: StateWorker, world: _World) -> None:
    """A state that exceeds the bound by itself is still scored."""
    world.memory_mb = {"b": 99}
    _run(worker, _rollout("a"))
    assert _run(worker, _rollout("b")) == [_metrics(10)]
    assert world.living == ["b"]


def test_holder_that_dies_is_rebuilt(worker: StateWorker, world: _World) -> None:
    """The rollout is run again on a new holder, and nobody notices."""
    world.answers = [HolderLost("gone")]
    assert _run(worker, _rollout("a")) == [_metrics(10)]
    assert world.opened == ["a", "a"]
    assert world.living == ["a"]


def test_holder_that_dies_twice_is_reported(worker: StateWorker, world: _World) -> None:
    """The rollout fails with ``holder_lost``; the next one gets a new holder."""
    world.answers = [HolderLost("gone"), HolderLost("gone again")]
    first, second = _run(worker, _rollout("a"), _rollout("a"))
    assert first == "holder_lost"
    assert second == _metrics(10)
    assert world.opened == ["a", "a", "a"]


def test_refusal_fails_one_rollout_only(worker: StateWorker, world: _World) -> None:
    """What SUMO refuses is not tried again, and the others are scored."""
    world.answers = [RolloutRejected("no")]
    first, second = _run(worker, _rollout("a"), _rollout("a"))
    assert first == "rollout_rejected"
    assert second == _metrics(10)
    assert world.opened == ["a"]


def test_own_limit_and_callers_deadline_are_told_apart(worker: StateWorker, world: _World) -> None:
    """A rollout that was ended before the deadline ran into the worker's own limit."""
    world.answers = [RolloutTimeout("slow")]
    assert _run(worker, _rollout("a"))[0] == "rollout_timeout"


def test_rollout_past_its_deadline_does_not_start(worker: StateWorker, world: _World) -> None:
    """Nothing is opened for a caller who has gone."""
    outcomes = _run(worker, _rollout("a", limit_s=-1), _rollout("a"))
    assert outcomes[0] == "deadline_exceeded"
    assert outcomes[1] == _metrics(10)
    assert world.opened == ["a"]


def test_closing_removes_everything(world: _World, tmp_path: Path) -> None:
    """No holder and no file is left."""
    worker = StateWorker(WorkerLimits(30, 2, 10))
    _run(worker, _rollout("a"))
    assert list(tmp_path.iterdir())
    worker.close()
    assert list(tmp_path.iterdir()) == []
    assert world.living == []


def test_files_of_dead_workers_are_swept(world: _World, tmp_path: Path) -> None:
    """A worker that was killed left its folder; the next worker removes it, and only it."""
    dead = tmp_path / "greenfork-worker-999999999-x"
    other = tmp_path / "something-else"
    for folder in (dead, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    living, other_living = (StateWorker(WorkerLimits(30, 2, 10)) for _ in range(2))
    for each in (living, other_living):
        _run(each, _rollout("a", limit_s=-1))
    other_living.close()
    assert not dead.exists()
    assert other.exists()
    assert len(list(tmp_path.iterdir())) == 2
    living.close()


def test_cancelled_before_its_turn_is_not_begun(worker: StateWorker, world: _World) -> None:
    """The other rollouts of its batch are."""
    sent: list[int] = []
    world.when_sent = sent.append
    worker.cancel([2])
    first, second, third = _run(worker, *(_rollout("a", ticket=n) for n in (1, 2, 3)))
    assert (sent, second) == ([1, 3], "cancelled")
    assert first == third == _metrics(10)


def test_cancelled_while_it_runs_is_ended(worker: StateWorker, world: _World) -> None:
    """The holder that is at it is told, and of no other rollout."""
    world.while_running = lambda _: worker.cancel([7, 9])
    _run(worker, _rollout("a", ticket=7), _rollout("a", ticket=8))
    assert world.cancelled == [7]


def test_cancellations_are_forgotten_with_their_batch(worker: StateWorker) -> None:
    """A ticket means nothing to the next batch."""
    worker.cancel([1])
    assert _run(worker, _rollout("a", ticket=1)) == ["cancelled"]
    assert _run(worker, _rollout("a", ticket=1)) == [_metrics(10)]


def _first(worker: StateWorker, rollout: Rollout, files: StateFiles) -> RolloutOutcome:
    outcomes = worker.run([rollout], files)
    assert outcomes is not None
    return outcomes[0]


def test_replayed_state_is_recognised(worker: StateWorker, world: _World) -> None:
    """It comes to where it was when the dataset was built, and is scored."""
    found = _first(worker, _rollout("a", source="begin"), _REPLAYED)
    assert (found.metrics, found.opened) == (_metrics(10), 1)
    assert world.replays[-1].to_s == 50


@pytest.mark.parametrize(("source", "checkpoints"), [("begin", ["begin"]), ("anchor", [])])
def test_replay_to_another_state_is_refused(
    source: Source, checkpoints: list[str], worker: StateWorker, world: _World
) -> None:
    """SUMO computes another simulation here: no number of it is given, and no holder is kept."""
    world.digest = "f" * 16
    files = replace(_REPLAYED, state=None if source == "begin" else b"<snapshot/>")
    error = _first(worker, _rollout("a", source=source), files).error
    assert error is not None
    assert error.code == "environment_differs"
    assert "state a" in error.message
    assert world.living == checkpoints


def test_run_that_depends_on_its_environment_is_recognised_once(
    worker: StateWorker, world: _World
) -> None:
    """By a moment of it, before the first of its states is scored; for later ones that holds."""
    files = replace(_OF_A_FILE, landmark=_LANDMARK, landmark_digest=_DIGEST)
    assert _first(worker, _rollout("a"), files).metrics == _metrics(10)
    assert world.opened == ["begin", "a"]
    assert world.replays[-1] == _LANDMARK
    assert _first(worker, _rollout("b"), files).metrics == _metrics(10)
    assert world.opened == ["begin", "a", "b"]


def test_run_that_is_another_one_here_is_refused(worker: StateWorker, world: _World) -> None:
    """Even a state whose file would continue; and it is looked at again the next time."""
    world.digest = "f" * 16
    files = replace(_OF_A_FILE, landmark=_LANDMARK, landmark_digest=_DIGEST)
    for _ in range(2):
        error = _first(worker, _rollout("a"), files).error
        assert error is not None
        assert error.code == "environment_differs"
    assert "a" not in world.opened
    world.digest = _DIGEST
    assert _first(worker, _rollout("a"), files).metrics == _metrics(10)


@pytest.mark.parametrize(
    ("read", "more", "config"),
    [
        ({}, {}, RESTORE_CONFIG_NAME),
        (None, {}, "scenario.sumocfg"),
        ({}, {RESTORE_CONFIG_NAME: _CONFIG}, RESTORE_CONFIG_NAME),
        (None, {RESTORE_CONFIG_NAME: _CONFIG}, RESTORE_CONFIG_NAME),
    ],
)
def test_state_is_continued_with_what_its_run_had_not_read(
    read: dict[str, int] | None,
    more: dict[str, bytes],
    config: str,
    worker: StateWorker,
    world: _World,
) -> None:
    """Or as plain SUMO does where nobody knows; old datasets have a configuration for that."""
    _first(worker, _rollout("a"), replace(_OF_A_FILE, read=read, scenario=_FILES | more))
    assert world.configs == [config]
