"""What a run counts, and the limit of failures."""

from collections import Counter
from collections.abc import Callable

import pytest

from trainer.runs.run_stats import BatchCounts, FailureLimit, RunStats, zero_variance_share


@pytest.mark.parametrize(
    ("keys", "rewards", "share"),
    [
        ("aaaa", [1, 1, 0, 1], 0.5),
        ("abab", [1, 0, 1, 0], 1.0),
        ("aab", [1, 0, 5], 0.0),
        ("aabb", [1, None, 0, 0], 1.0),
        ("a", [1], None),
        ("", [], None),
    ],
)
def test_zero_variance(keys: str, rewards: list[float | None], share: float | None) -> None:
    """Over whole groups only, wherever their rows stand; failed rewards are not compared."""
    assert zero_variance_share(keys, rewards, group_size=2) == share


def test_failures_count_over_a_window() -> None:
    """Old failures are forgotten, and one early failure is not a share of one."""
    limit = FailureLimit(share=0.5, window=4)
    steps: list[Callable[[], bool]] = [
        lambda: limit.exceeded_by([True]),
        lambda: limit.exceeded_by([True, False, False]),
        lambda: limit.exceeded_by([False, False, True, True]),
        lambda: limit.exceeded_by([True]),
    ]
    assert [step() for step in steps] == [False, False, False, True]


def test_no_failure_is_allowed_at_zero() -> None:
    """A limit of 0 stops at the first failure."""
    stats = RunStats(FailureLimit(share=0, window=10))
    stats.add(BatchCounts(items=1, invalid=Counter(), failed=Counter("x")), [True])
    assert stats.stop.reason is not None


def test_too_many_failures_are_no_lost_batch() -> None:
    """The step is made: some of its rewards are there."""
    stats = RunStats(FailureLimit(share=0, window=10))
    stats.add(BatchCounts(items=2, invalid=Counter(), failed=Counter("x")), [True, False])
    assert stats.stop.lost_batch is None


def test_a_step_counts_the_rollouts_that_were_started_ahead_of_it() -> None:
    """Each once: with the batch that is answered next."""
    stats = RunStats(FailureLimit(0.5, 99))
    stats.add(BatchCounts(2, Counter(), Counter()), [False] * 2)
    seen = []
    for ahead, asked in ((4, 1), (0, 0), (2, 0)):
        stats.rollouts += ahead
        stats.service_answered(1.0, rollouts=asked)
        seen.append(stats.metrics()["reward_service/rollouts"])
    assert seen == [5, 0, 2]
    assert stats.rollouts == 7


def test_stats_of_ranks_are_one_run() -> None:
    """Items add up; the reward of a batch is the mean over the ranks, which made it together."""
    all_stats = [RunStats(FailureLimit(0.5, 99)) for _ in range(2)]
    for stats, rewards in zip(all_stats, ((1.0, 2.0), (3.0, 4.0)), strict=True):
        for reward in rewards:
            counts = BatchCounts(4, Counter("x"), Counter("y"), cached=2, clamped=1, reward=reward)
            stats.add(counts, [False] * 4)
            stats.service_answered(1.0, rollouts=3)
    merged = RunStats.merged(all_stats)
    assert (merged.items, merged.cached, merged.clamped, merged.rollouts) == (16, 8, 4, 12)
    assert (merged.invalid, merged.failed) == ({"x": 4}, {"y": 4})
    assert merged.rewards == [2.0, 3.0]
    assert all_stats[0].items == 8, "the rank's own is left alone"


def test_stats_without_a_batch_have_no_metrics() -> None:
    """Nothing is divided by zero."""
    assert RunStats(FailureLimit(0.5, 4)).metrics() == {}
