"""States that a worker restores by replaying their run."""

from dataclasses import replace

import pytest

from sim_workers.engine.messages import (
    Source,
)
from sim_workers.pool.worker import StateWorker
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME
from tests.unit.sim_workers.pool.fake_simulations import (
    CONFIG,
    DIGEST,
    FILES,
    LANDMARK,
    OF_A_FILE,
    REPLAYED,
    World,
    first,
    metrics,
    rollout,
)


def test_replayed_state_is_recognised(worker: StateWorker, world: World) -> None:
    """It comes to where it was when the dataset was built, and is scored."""
    found = first(worker, rollout("a", source="begin"), REPLAYED)
    assert (found.metrics, found.opened) == (metrics(10), 1)
    assert world.replays[-1].to_s == 50


@pytest.mark.parametrize(("source", "checkpoints"), [("begin", ["begin"]), ("anchor", [])])
def test_replay_to_another_state_is_refused(
    source: Source, checkpoints: list[str], worker: StateWorker, world: World
) -> None:
    """SUMO computes another simulation here: no number of it is given, and no holder is kept."""
    world.digest = "f" * 16
    files = replace(REPLAYED, state=None if source == "begin" else b"<snapshot/>")
    error = first(worker, rollout("a", source=source), files).error
    assert error is not None
    assert error.code == "environment_differs"
    assert "state a" in error.message
    assert world.living == checkpoints


def test_run_that_depends_on_its_environment_is_recognised_once(
    worker: StateWorker, world: World
) -> None:
    """By a moment of it, before the first of its states is scored; for later ones that holds."""
    files = replace(OF_A_FILE, landmark=LANDMARK, landmark_digest=DIGEST)
    assert first(worker, rollout("a"), files).metrics == metrics(10)
    assert world.opened == ["begin", "a"]
    assert world.replays[-1] == LANDMARK
    assert first(worker, rollout("b"), files).metrics == metrics(10)
    assert world.opened == ["begin", "a", "b"]


def test_run_that_is_another_one_here_is_refused(worker: StateWorker, world: World) -> None:
    """Even a state whose file would continue; and it is looked at again the next time."""
    world.digest = "f" * 16
    files = replace(OF_A_FILE, landmark=LANDMARK, landmark_digest=DIGEST)
    for _ in range(2):
        error = first(worker, rollout("a"), files).error
        assert error is not None
        assert error.code == "environment_differs"
    assert "a" not in world.opened
    world.digest = DIGEST
    assert first(worker, rollout("a"), files).metrics == metrics(10)


@pytest.mark.parametrize(
    ("read", "more", "config"),
    [
        ({}, {}, RESTORE_CONFIG_NAME),
        (None, {}, "scenario.sumocfg"),
        ({}, {RESTORE_CONFIG_NAME: CONFIG}, RESTORE_CONFIG_NAME),
        (None, {RESTORE_CONFIG_NAME: CONFIG}, RESTORE_CONFIG_NAME),
    ],
)
def test_state_is_continued_with_what_its_run_had_not_read(
    read: dict[str, int] | None,
    more: dict[str, bytes],
    config: str,
    worker: StateWorker,
    world: World,
) -> None:
    """Or as plain SUMO does where nobody knows; old datasets have a configuration for that."""
    first(worker, rollout("a"), replace(OF_A_FILE, read=read, scenario=FILES | more))
    assert world.configs == [config]
