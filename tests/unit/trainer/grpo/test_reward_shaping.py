"""Invalid answers as bad as the worst valid one of their group, and the shuffled control."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.grpo.reward_shaping import as_the_worst, shuffled


def test_each_group_has_a_worst_of_its_own() -> None:
    """By hand; what failed is no answer and has no say."""
    rewards = [-30.0, -1.0, -28.0, -1.0, -2.0, None]
    invalid = [False, True, False, True, False, False]
    assert as_the_worst(rewards, invalid, [0, 0, 0, 1, 1, 1], -1.0) == [
        -30.0,
        -30.0,
        -28.0,
        -2.0,
        -2.0,
        None,
    ]


def test_a_group_without_a_valid_answer_is_all_the_same() -> None:
    """So that it teaches nothing; as bad as the worst of the batch, so that it lifts no mean."""
    rewards = [-1.0, -1.0, None, -30.0, -40.0, -28.0]
    invalid = [True, True, False, False, False, False]
    assert as_the_worst(rewards, invalid, [0, 0, 0, 1, 1, 2], -1.0) == [
        -40.0,
        -40.0,
        None,
        -30.0,
        -40.0,
        -28.0,
    ]


def test_a_batch_without_a_valid_answer() -> None:
    """Gets what it is told; what failed stays without a reward."""
    assert as_the_worst([-5.0, None], [True, False], [0, 1], -1.0) == [-1.0, None]


_rewards = st.lists(st.tuples(st.none() | st.floats(-1, 1), st.integers(0, 3)))


@given(sample=_rewards, seed=st.text())
def test_a_group_keeps_its_rewards(sample: list[tuple[float | None, int]], seed: str) -> None:
    """Nothing is lost, nothing is added, and what failed stays without a reward."""
    rewards, groups = [reward for reward, _ in sample], [group for _, group in sample]
    dealt = shuffled(rewards, groups, seed)
    assert [one is None for one in dealt] == [one is None for one in rewards]
    for group in set(groups):
        mine = [one for one, its in zip(rewards, groups, strict=True) if its == group]
        theirs = [one for one, its in zip(dealt, groups, strict=True) if its == group]
        assert sorted(one for one in mine if one is not None) == sorted(
            one for one in theirs if one is not None
        )


def test_the_deal_depends_on_the_seed_alone() -> None:
    """Two batches are dealt differently, the same one always alike."""
    rewards, groups = [float(number) for number in range(20)], [0] * 20
    assert shuffled(rewards, groups, "7/1") == shuffled(rewards, groups, "7/1")
    assert shuffled(rewards, groups, "7/1") != shuffled(rewards, groups, "7/2")
    assert shuffled(rewards, groups, "7/1") != rewards
