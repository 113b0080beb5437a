"""Invalid answers as bad as the worst valid one of their group."""

from trainer.grpo.reward_shaping import as_the_worst


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
