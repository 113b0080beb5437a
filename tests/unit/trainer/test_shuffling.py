"""The control experiment's rewards."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.shuffling import shuffled


@given(rewards=st.lists(st.none() | st.floats(-1, 1)), seed=st.integers())
def test_the_same_rewards_are_dealt_out_to_those_who_had_one(
    rewards: list[float | None], seed: int
) -> None:
    """Nothing is lost, nothing is added, and what failed stays without a reward."""
    dealt = shuffled(rewards, seed)
    assert [one is None for one in dealt] == [one is None for one in rewards]
    assert sorted(one for one in dealt if one is not None) == sorted(
        one for one in rewards if one is not None
    )


def test_the_deal_depends_on_the_seed_alone() -> None:
    """Two batches are dealt differently, the same one always alike."""
    rewards = [float(number) for number in range(20)]
    assert shuffled(rewards, "7/1") == shuffled(rewards, "7/1")
    assert shuffled(rewards, "7/1") != shuffled(rewards, "7/2")
    assert shuffled(rewards, "7/1") != rewards
