"""The control experiment's rewards."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.grpo.reward_shaping import shuffled

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
