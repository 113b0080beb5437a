"""Which checkpoints of a run there are, what they cost and which are let go. SUMO is a fake."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from shared.dataset import Action
from shared.errors import HolderLost
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open, Ready, Replay
from sim_workers.pool.checkpoints import CheckpointCache

_BEGIN = Open(config="town.sumocfg", seed=1)
_SPAWN_S, _STEP_S, _OPEN_S = 0.01, 0.0005, 0.2
"""What things take; checkpoints stand 60 s apart then."""


@dataclass
class _World:
    """A clock, and simulations that take time to move."""

    now_s: float = 0.0
    opened: int = 0
    names: Any = field(default_factory=itertools.count)
    living: dict[int, "_Holder"] = field(default_factory=dict)

    def open(self, request: Open, limit_s: float) -> "_Holder":
        self.now_s += _OPEN_S
        self.opened += 1
        return _Holder(self, None, 0.0)


class _Holder:
    def __init__(self, world: _World, parent: "_Holder | None", time_s: float) -> None:
        self.world, self.at_s = world, time_s
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.actions: list[Action] = [] if parent is None else list(parent.actions)
        self.name = next(world.names)
        world.living[self.name] = self

    def spawn(self, limit_s: float) -> "_Holder":
        if self.name not in self.world.living:
            raise HolderLost("the simulation process died")
        self.world.now_s += _SPAWN_S
        return _Holder(self.world, self, self.at_s)

    def call(self, request: Replay, reply: type[Ready], limit_s: float) -> Ready:
        taken_s = (request.to_s - self.at_s) * _STEP_S
        self.world.now_s += taken_s
        if limit_s < taken_s:
            raise HolderLost("did not answer")
        self.actions += request.actions
        self.at_s = request.to_s
        return Ready(time_s=self.at_s)

    def time_s(self, limit_s: float) -> float:
        return self.at_s

    def own_memory_mb(self) -> float:
        return 1.0

    def close(self) -> None:
        self.world.living.pop(self.name, None)

    kill = close


@pytest.fixture
def world() -> _World:
    """Nothing runs yet."""
    return _World()


@pytest.fixture
def make(world: _World) -> Callable[..., CheckpointCache]:
    """Makes a cache in this world."""

    def make(count: int, memory_mb: float) -> CheckpointCache:
        return CheckpointCache(cast(ForkServer, world), count, memory_mb, lambda: world.now_s)

    return make


def _fork(cache: CheckpointCache, to_s: float, run: str = "run", left_s: float = 60) -> _Holder:
    actions = tuple(Action(time_s=t, tls_id="c", remaining_s=1) for t in range(0, int(to_s), 50))
    forked = cache.fork_at(run, _BEGIN, Replay(to_s=to_s, actions=actions), lambda: left_s)
    return cast(_Holder, forked)


def _times(world: _World) -> list[float]:
    return sorted(holder.at_s for holder in world.living.values())


def test_checkpoints_are_as_far_apart_as_a_few_forks_take(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """So that neither forking nor stepping is most of the work."""
    _fork(make(16, 99.0), 310).close()
    assert _times(world) == [0, 60, 120, 180, 240, 300]


def test_no_fork_is_of_a_fork_of_a_fork(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """The simulation that moves on is the one that began: forks of forks take ever longer."""
    _fork(make(64, 99.0), 1000).close()
    assert {holder.depth for holder in world.living.values()} == {0, 1}


@pytest.mark.parametrize("order", [(1000, 400, 750, 950), (100, 999, 55, 500)])
def test_every_action_is_repeated_once(
    order: tuple[int, ...], world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """In whatever order moments are asked for, with few checkpoints kept."""
    cache = make(4, 99.0)
    for to_s in order:
        forked = _fork(cache, to_s)
        assert [action.time_s for action in forked.actions] == list(range(0, to_s, 50))
        assert forked.at_s == to_s
        forked.close()


def test_both_ends_of_a_run_are_kept_longest(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """What is let go first is missed least, so the others are left evenly apart."""
    _fork(make(5, 99.0), 1200).close()
    times_s = _times(world)
    assert (len(times_s), times_s[0], times_s[-1]) == (5, 0, 1140)
    gaps_s = [after - before for before, after in itertools.pairwise(times_s)]
    assert max(gaps_s) <= 3 * min(gaps_s)


def test_memory_bounds_them_as_well(world: _World, make: Callable[..., CheckpointCache]) -> None:
    """Whatever their number."""
    cache = make(64, 3.5)
    _fork(cache, 1000).close()
    assert cache.memory_mb <= 3.5
    assert len(world.living) == 3


def test_run_larger_than_all_memory_is_replayed(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """With the one checkpoint that it takes."""
    assert _fork(make(64, 0.5), 1000).at_s == 1000
    assert _times(world) == [960, 1000]


def test_runs_that_nobody_asks_for_go_first(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """After many simulations of another one, all of its checkpoints go before any of that."""
    cache = make(8, 99.0)
    _fork(cache, 200, "old").close()
    for _ in range(120):
        _fork(cache, 200, "new").close()
    _fork(cache, 470, "new").close()
    assert _times(world) == [0, 60, 120, 180, 240, 300, 360, 420]
    assert cache.expected_s("old", 100) is None


def test_growth_keeps_to_what_may_be_spent(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """What one step costs too much is owed, until enough may be spent again."""
    cache, replay = make(64, 99.0), Replay(to_s=9000)
    for _ in range(20):
        cache.grow("run", _BEGIN, replay, 0.05, lambda: 60.0)
    assert world.now_s == pytest.approx(1.0, abs=0.1)
    assert world.opened == 1
    assert cache.expected_s("run", 500) == pytest.approx(_SPAWN_S + 20 * _STEP_S)


def test_growth_ends_where_nobody_asked(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """Behind the latest moment there is nothing to be quick for."""
    cache = make(64, 99.0)
    cache.grow("run", _BEGIN, Replay(to_s=200), 100.0, lambda: 60.0)
    assert _times(world) == [0, 60, 120, 180]


def test_growth_covers_a_run_that_is_longer_than_the_room(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """With checkpoints further apart, up to the latest moment that was asked for."""
    cache = make(6, 99.0)
    cache.grow("run", _BEGIN, Replay(to_s=1500), 100.0, lambda: 60.0)
    times_s = _times(world)
    assert (len(times_s), times_s[0], times_s[-1]) == (6, 0, 1500)


def test_growth_shares_the_room(world: _World, make: Callable[..., CheckpointCache]) -> None:
    """With a run that has more; both keep their ends."""
    cache = make(4, 99.0)
    _fork(cache, 200, "used").close()
    assert _times(world) == [0, 60, 120, 180]
    cache.grow("other", _BEGIN, Replay(to_s=200), 100.0, lambda: 60.0)
    assert _times(world) == [0, 0, 60, 180]


def test_expected_time_is_what_it_takes(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """A fork and the stepping behind it, and new checkpoints on the way where the run ends."""
    cache = make(64, 99.0)
    assert cache.expected_s("run", 330) is None
    _fork(cache, 310).close()
    for to_s in (330, 75, 620):
        expected_s, began_s = cache.expected_s("run", to_s), world.now_s
        _fork(cache, to_s).close()
        assert expected_s == pytest.approx(world.now_s - began_s)


def test_moment_before_the_first_checkpoint_begins_the_run_again(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """Where memory allowed only for the last one."""
    cache = make(1, 99.0)
    _fork(cache, 400).close()
    assert len(world.living) == 1
    forked = _fork(cache, 100)
    assert (forked.at_s, world.opened) == (100, 2)


def test_out_of_time_leaves_what_there_is(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """The copy that stayed behind moves on in the place of what was lost; the run goes on."""
    cache = make(64, 99.0)
    _fork(cache, 200).close()
    with pytest.raises(HolderLost):
        _fork(cache, 400, left_s=0)
    assert _times(world) == [0, 60, 120, 180]
    forked = _fork(cache, 400)
    assert [action.time_s for action in forked.actions] == list(range(0, 400, 50))
    assert world.opened == 1


def test_run_whose_checkpoints_died_is_begun_again(
    world: _World, make: Callable[..., CheckpointCache]
) -> None:
    """At once: nobody is told."""
    cache = make(64, 99.0)
    _fork(cache, 200).close()
    world.living.clear()
    assert (_fork(cache, 100).at_s, world.opened) == (100, 2)


def test_letting_go_ends_with_none(world: _World, make: Callable[..., CheckpointCache]) -> None:
    """One after the other, until the cache is empty."""
    cache = make(64, 99.0)
    _fork(cache, 200).close()
    while cache.let_go():
        pass
    assert not world.living
    cache.close()
