"""When a state is opened from its file and when by a replay. Simulations are fakes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from shared.dataset import Action
from shared.errors import HolderLost
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Look, Open, Replay, Rollout, Seen
from sim_workers.pool.checkpoints import CheckpointCache
from sim_workers.pool.openings import Openings
from sim_workers.pool.rollout import StateFiles

_FILES = {"scenario.sumocfg": b'<configuration><net-file value="n"/></configuration>'}
_ACTIONS = (Action(time_s=5, tls_id="c", remaining_s=1),)
_FILE_S = 0.2
_WHOLE = StateFiles(
    "town",
    _FILES,
    "run",
    1,
    1.0,
    state=b"<snapshot/>",
    read={},
    has_file=True,
    origin_s=600,
    origin_digest="d",
    run_actions=_ACTIONS,
)
_LIGHT = replace(_WHOLE, scenario=None, state=None, run_actions=None)


@dataclass
class _World:
    """Both the fork server and the checkpoints: what was done, and what replays are to cost."""

    now_s: float = 0.0
    expected: float | None = None
    done: list[str] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    budgets_s: list[float] = field(default_factory=list)
    is_growth_lost: bool = False

    def open(self, request: Open, limit_s: float) -> "_World":
        self.now_s += _FILE_S
        self.done.append("file" if request.state_file else "begin")
        return self

    def expected_s(self, run: str, time_s: float) -> float | None:
        return self.expected

    def fork_at(self, run: str, begin: Open, replay: Replay, left_s: object) -> "_World":
        self.done.append("replay")
        self.replays.append(replay)
        return self

    def grow(self, run: str, begin: Open, replay: Replay, budget_s: float, left_s: object) -> None:
        self.budgets_s.append(budget_s)
        if self.is_growth_lost:
            raise HolderLost("gone")

    def call(self, request: Look, reply: type[Seen], limit_s: float) -> Any:  # noqa: ANN401
        return Seen(digest="d")


@pytest.fixture
def world() -> _World:
    """Nothing has been opened."""
    return _World()


@pytest.fixture
def send(world: _World, tmp_path: Path) -> Callable[[StateFiles], bool]:
    """Sends files of a new state and opens it, if the files suffice; tells whether they do."""
    fork_server, checkpoints = cast(ForkServer, world), cast(CheckpointCache, world)
    openings = Openings(fork_server, checkpoints, lambda: world.now_s)
    numbers = iter(range(100))

    def send(files: StateFiles) -> bool:
        name = f"s{next(numbers)}"
        rollout = Rollout(state_id=name, signal_decisions=(), observe=("c",), horizon_s=60)
        source = openings.unpack(tmp_path, name, files)
        if openings.suffices(source):
            openings.open(rollout, source, lambda: 60.0)
            return True
        return False

    return send


@pytest.mark.parametrize(
    ("expected", "way"), [(None, "file"), (_FILE_S * 2, "file"), (_FILE_S / 2, "replay")]
)
def test_the_cheaper_way_is_taken(
    expected: float | None, way: str, world: _World, send: Callable[[StateFiles], bool]
) -> None:
    """As soon as it is known what both take; before that, a file."""
    assert send(_WHOLE)
    world.expected = expected
    assert send(replace(_WHOLE, scenario=None, run_actions=None))
    assert world.done == ["file", way]
    for replay in world.replays:
        assert (replay.to_s, replay.actions) == (600, _ACTIONS)


def test_file_is_asked_for_where_it_is_cheaper(
    world: _World, send: Callable[[StateFiles], bool]
) -> None:
    """Without it there is nothing to open yet; where a replay is cheaper, nothing is missing."""
    assert not send(_LIGHT)
    assert send(_WHOLE)
    assert not send(_LIGHT)
    world.expected = _FILE_S / 2
    assert send(_LIGHT)
    assert world.done == ["file", "replay"]


@pytest.mark.parametrize("fields", [{"origin_s": None}, {"run": "another run"}])
def test_what_is_not_to_be_replayed_is_not(
    fields: dict[str, Any], world: _World, send: Callable[[StateFiles], bool]
) -> None:
    """However cheap: other seeds, what nobody proved, and runs whose actions are not known."""
    send(_WHOLE)
    world.expected = 0.0
    assert not send(replace(_LIGHT, **fields))
    assert send(replace(_WHOLE, scenario=None, run_actions=None, **fields))
    assert world.done == ["file", "file"]


def test_runs_get_checkpoints_from_their_third_state_on(
    world: _World, send: Callable[[StateFiles], bool]
) -> None:
    """As much time is spent on them as on opening the state."""
    for _ in range(4):
        send(_WHOLE)
    assert world.budgets_s == pytest.approx([_FILE_S] * 2)
    assert world.done == ["file"] * 4


def test_checkpoint_that_is_lost_spoils_no_state(
    world: _World, send: Callable[[StateFiles], bool]
) -> None:
    """The state itself has been opened."""
    world.is_growth_lost = True
    assert all(send(_WHOLE) for _ in range(4))
