"""How a state is restored is found out by trying, the cheapest way first."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from shared.dataset import Action
from shared.errors import HolderLost, RolloutError, RolloutRejected
from shared.rewards import Metrics
from sim_workers.datasets.proof import Proof
from sim_workers.datasets.restoration import FoundState, Restoration, Restorer, StateFile
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import (
    Look,
    Open,
    Ready,
    Replay,
    Request,
    Rollout,
    RolloutOutcome,
    Save,
    Seen,
)
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.simulation_spec import SimulationSpec
from sim_workers.states.state_file import make_state_id
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME, Demand

_VERIFIED_S = 60
_ROLLOUT = Rollout(signal_decisions=(), observe=("c",), horizon_s=60, limit_s=1, trace_s=60)
_METRICS = Metrics(
    queue_veh=0,
    queue_veh_max=0,
    wait_s=0,
    throughput_veh=0,
    pressure_veh=0,
    network_queue_veh=0,
)
_EXACT, _OTHER = (RolloutOutcome(metrics=_METRICS, trace=trace) for trace in ("exact", "other"))


class _World:
    """A fork server whose simulations continue exactly where ``is_exact`` says so."""

    def __init__(self, is_exact: Callable[[Open], bool], *, repeats: bool = True) -> None:
        self.is_exact = is_exact
        self.repeats = repeats
        self.opened: list[Open] = []
        self.replays: list[Replay] = []
        self.living = 0

    def open(self, request: Open, limit_s: float) -> "_World._SimulationServer":
        self.opened.append(request)
        is_exact = self.is_exact(request)
        self.living += 1
        return self._SimulationServer(self, is_exact)

    class _SimulationServer:
        def __init__(self, world: "_World", is_exact: bool) -> None:
            self._world = world
            self._is_exact = is_exact
            self._time_s = 0.0

        def __enter__(self) -> "_World._SimulationServer":
            return self

        def __exit__(self, *exc: object) -> None:
            self.close()

        def close(self) -> None:
            self._world.living -= 1

        def call(self, request: Request, reply: type[Any], limit_s: float) -> Any:  # noqa: ANN401
            match request:
                case Rollout():
                    return _EXACT if self._is_exact else _OTHER
                case Look():
                    return Seen(digest="0")
                case Replay(to_s=to_s):
                    self._world.replays.append(request)
                    self._time_s = to_s
                case Save(path=path):
                    time_s = self._time_s if self._world.repeats else self._time_s + 1
                    Path(path).write_bytes(_raw(time_s))
            return Ready(time_s=self._time_s)


def _raw(time_s: float) -> bytes:
    return f'<snapshot version="1" time="{time_s:.2f}"/>'.encode()


def _found(time_s: float, *, is_readable: bool = True) -> FoundState:
    """A state, and what a policy did five seconds before it."""
    state_id = make_state_id("town", time_s, _raw(time_s))
    actions = (Action(time_s=time_s - 5, tls_id="c", remaining_s=0),)
    proof = Proof(((_ROLLOUT, _EXACT),))
    read: dict[str, int] | None = {} if is_readable else None
    return FoundState(state_id, Path(f"{time_s:g}.xml"), time_s, read, "0", actions, proof)


def _restorer(world: _World, folder: Path) -> closing[Restorer]:
    scenario, drafts = folder / "scenario", folder / "drafts"
    for each in (scenario, drafts):
        each.mkdir()
    (scenario / CONFIG_NAME).write_text('<configuration><net-file value="n.xml"/></configuration>')
    files = SimulationSpec("town", scenario, Demand(scenario), 7, 1.2)
    restorer = Restorer(cast("ForkServer", world), files, drafts / "draft", _VERIFIED_S)
    return closing(restorer)


def _times_s(replay: Replay | None) -> list[float]:
    assert replay is not None
    return [action.time_s for action in replay.actions]


def _is_replayed(request: Open) -> bool:
    return request.replay is not None


def test_a_state_that_continues_exactly_is_restored_from_its_file(tmp_path: Path) -> None:
    """With the run's seed and demand; nothing else is opened."""
    world = _World(lambda request: True)
    with _restorer(world, tmp_path) as restorer:
        assert restorer.restoration(_found(100)) == Restoration("state", None, _VERIFIED_S)
    (request,) = world.opened
    assert (Path(request.config).name, request.state_file) == (RESTORE_CONFIG_NAME, "100.xml")
    assert (request.seed, request.scale) == (7, 1.2)
    assert world.living == 0


def test_the_latest_exact_state_is_the_anchor_of_those_after_it(tmp_path: Path) -> None:
    """Its replay repeats what was decided since; a replayed state is no anchor itself."""
    exact = {"100.xml", "200.xml"}
    world = _World(lambda request: request.state_file in exact)
    with _restorer(world, tmp_path) as restorer:
        for time_s in (100, 200):
            restorer.restoration(_found(time_s))
        for time_s in (300, 400):
            restored = restorer.restoration(_found(time_s))
            assert restored == Restoration("replay", _found(200).state_id, _VERIFIED_S)
            replay = world.opened[-1].replay
            assert world.opened[-1].state_file == "200.xml"
            assert replay is not None
            assert replay.to_s == time_s
    assert _times_s(world.opened[-1].replay) == [295, 395]
    assert world.replays == []


def test_a_state_whose_reading_cannot_be_told_is_replayed(tmp_path: Path) -> None:
    """Its file is not even tried, though it would continue by luck."""
    world = _World(lambda request: True)
    with _restorer(world, tmp_path) as restorer:
        assert restorer.restoration(_found(100, is_readable=False)).restore == "replay"
    assert [request.state_file for request in world.opened] == [None]


@pytest.mark.parametrize(("age_s", "is_tried"), [(600, True), (601, False)])
def test_an_old_anchor_is_not_used(age_s: int, is_tried: bool, tmp_path: Path) -> None:
    """Replaying from it would take longer than opening a state should."""
    world = _World(lambda request: request.state_file == "100.xml")
    with _restorer(world, tmp_path) as restorer:
        restorer.restoration(_found(100))
        assert (restorer.restoration(_found(100 + age_s)).anchor is not None) == is_tried


def test_whatever_is_not_exact_is_replayed_from_the_begin(tmp_path: Path) -> None:
    """One simulation goes along and is compared by the state that it comes to."""
    world = _World(lambda request: request.state_file == "100.xml" and not _is_replayed(request))
    with _restorer(world, tmp_path) as restorer:
        restorer.restoration(_found(100))
        for time_s in (200, 300):
            assert restorer.restoration(_found(time_s)) == Restoration("replay", None, 0)
        assert world.living == 1
    begun = [request for request in world.opened if request.state_file is None]
    assert [request.config for request in begun] == [str(tmp_path / "scenario" / CONFIG_NAME)]
    assert [replay.to_s for replay in world.replays] == [200, 300]
    assert list(map(_times_s, world.replays)) == [[95, 195], [295]]
    assert world.living == 0
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_run_that_does_not_repeat_itself_is_an_error(tmp_path: Path) -> None:
    """No reward of it could be exact."""
    world = _World(lambda request: False, repeats=False)
    with (
        _restorer(world, tmp_path) as restorer,
        pytest.raises(RolloutError, match="seed 7 is not reproducible") as caught,
    ):
        restorer.restoration(_found(100))
    assert caught.value.code == "not_reproducible"


def test_a_file_that_sumo_refuses_is_not_restored_from(tmp_path: Path) -> None:
    """The run is replayed instead."""

    def refuse(request: Open) -> bool:
        if request.state_file is not None:
            raise RolloutRejected("SUMO does not start")
        return True

    with _restorer(_World(refuse), tmp_path) as restorer:
        assert restorer.restoration(_found(100)).restore == "replay"


def test_a_process_that_is_lost_once_is_asked_again(tmp_path: Path) -> None:
    """Somebody killed it; that says nothing about the state."""
    losses = [HolderLost("killed")]

    def lose(request: Open) -> bool:
        if losses:
            raise losses.pop()
        return True

    with _restorer(_World(lose), tmp_path) as restorer:
        assert restorer.restoration(_found(100)).restore == "state"


def test_going_on_knows_the_anchor_and_the_actions(tmp_path: Path) -> None:
    """As if there had been no interruption."""
    world = _World(_is_replayed)
    with _restorer(world, tmp_path) as restorer:
        restorer.take_actions(_found(100).actions)
        restorer.take_anchor(StateFile("town@100-x", Path("100.xml"), 100, {}))
        restorer.take_actions(_found(200).actions)
        assert restorer.restoration(_found(300)).anchor == "town@100-x"
    assert _times_s(world.opened[-1].replay) == [195, 295]
