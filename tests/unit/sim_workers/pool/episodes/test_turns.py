"""Which worker has which episode, and which calls may go out together."""

from sim_workers.pool.episodes.turns import EpisodeHomes


def test_episodes_are_spread_over_workers() -> None:
    """Each new one goes to the worker that has fewest, and stays there."""
    homes = EpisodeHomes()
    keys = [homes.key_of(f"e{number}", [1, 2]) for number in range(4)]
    assert len(set(keys)) == 2
    assert keys.count(keys[0]) == keys.count(keys[1]) == 2
    assert [homes.key_of(f"e{number}", [1, 2]) for number in range(4)] == keys
    assert {EpisodeHomes.worker_of(key) for key in keys} == {1, 2}


def test_without_workers_an_episode_waits_for_any() -> None:
    """And is at home at whichever takes it."""
    homes = EpisodeHomes()
    key = homes.key_of("e", [])
    assert EpisodeHomes.worker_of(key) is None
    homes.settle("e", 7)
    assert EpisodeHomes.worker_of(homes.key_of("e", [7, 8])) == 7


def test_the_episodes_of_a_lost_worker_go_elsewhere() -> None:
    """The others stay where they are."""
    homes = EpisodeHomes()
    homes.settle("a", 1)
    homes.settle("b", 2)
    assert homes.lose(1) == ["a"]
    assert EpisodeHomes.worker_of(homes.key_of("a", [2])) == 2
    assert homes.group(["a", "b", "unknown"]) == {2: ["a", "b"]}


def test_a_parked_episode_may_wake_anywhere() -> None:
    """It counts no longer where it was."""
    homes = EpisodeHomes()
    for name in "abc":
        homes.settle(name, 1)
    homes.settle("d", 2)
    homes.forget(["a", "b", "c"])
    assert EpisodeHomes.worker_of(homes.key_of("a", [1, 2])) == 1
