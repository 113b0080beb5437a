"""Rewards on three levels, by hand."""

import pytest

from trainer.offline.levels import (
    LevelWeights,
    ScoredSequence,
    coherence,
    combined_rewards,
    distance,
    diversity,
    group_advantages,
    switches,
)


def _plan(words: str, score: float, task: float | None = None) -> ScoredSequence:
    """``yn`` is a plan of yes and no."""
    names = {"y": "yes", "n": "no"}
    return ScoredSequence(tuple(names[letter] for letter in words), score, task)


def test_every_no_of_a_plan_is_a_switch() -> None:
    """Two in a row are two: the green after the first is given up at once."""
    assert [switches(_plan(words, 0).sequence) for words in ("yyy", "yny", "nny")] == [0, 1, 2]


def test_single_answers_and_tokens_have_no_switches() -> None:
    """There is no sequence to be coherent."""
    assert switches(["no"]) == switches([7, 8, 9]) == switches([]) == 0


def test_words_switch_where_neighbours_differ() -> None:
    """A A B B A changes twice."""
    assert switches(["A", "A", "B", "B", "A"]) == 2


def test_a_switch_is_needless_where_a_better_plan_does_without() -> None:
    """The best plan needs its switch; a worse plan with two has one too many."""
    group = [_plan("yny", 3.0), _plan("nny", 2.0), _plan("yyy", 1.0)]
    assert coherence(group) == [1.0, pytest.approx(1 - 1 / 3), 1.0]


def test_of_equal_plans_the_calmer_one_is_coherent() -> None:
    """Equal scores count as doing as well."""
    assert coherence([_plan("nn", 1.0), _plan("yy", 1.0)]) == [0.0, 1.0]


def test_distance_counts_what_one_sequence_lacks() -> None:
    """An empty sequence has nothing in common with another, and all with itself."""
    assert distance((), ("yes",)) == 1
    assert distance((), ()) == 0


def test_copies_have_no_diversity() -> None:
    """The one that differs from both copies is the most diverse."""
    assert diversity([("a", "b"), ("a", "b"), ("c", "d")]) == [0.5, 0.5, 1.0]
    assert diversity([("a",)]) == [0.0]


def test_the_three_levels_are_added_with_their_weights() -> None:
    """Scores 1 and -1 once normalised; coherence 1 and 1/2; diversity 1/2; tasks -1 and 1."""
    group = [_plan("yy", 2.0, task=5.0), _plan("yn", 0.0, task=9.0)]
    found = combined_rewards(group, LevelWeights(score=1.0, sequence=0.4, task=0.25))
    assert found == pytest.approx([1 + 0.4 * 0.75 - 0.25, -1 + 0.4 * 0.5 + 0.25])


def test_the_task_level_needs_a_figure_of_every_candidate() -> None:
    """A group with a hole in it is compared without that level."""
    whole = [_plan("yy", 2.0, task=5.0), _plan("yn", 0.0, task=9.0)]
    holed = [_plan("yy", 2.0, task=5.0), _plan("yn", 0.0)]
    weights = LevelWeights(sequence=0.0, task=10.0)
    assert combined_rewards(holed, weights) == [1.0, -1.0]
    assert combined_rewards(whole, weights) != [1.0, -1.0]


def test_single_decisions_have_the_advantages_of_their_scores_alone() -> None:
    """No other level tells a yes from a no: neither answer is favoured."""
    groups = [[_plan("y", -3.0), _plan("n", -5.0)], [_plan("y", -5.0), _plan("n", -3.0)]]
    found = group_advantages(groups, LevelWeights(), is_pooled=False)
    assert found == [[pytest.approx(1), pytest.approx(-1)], [pytest.approx(-1), pytest.approx(1)]]


@pytest.mark.parametrize("is_pooled", [False, True])
def test_groups_that_do_not_differ_teach_nothing(is_pooled: bool) -> None:
    """Even where no group of the dataset does."""
    groups = [[_plan("y", 1.0), _plan("n", 1.0)]]
    assert group_advantages(groups, LevelWeights(), is_pooled) == [[0.0, 0.0]]


def test_equal_scores_leave_what_the_sequence_weighs() -> None:
    """Coherence 1, 1/2 and 0, diversity 3/4, 1/2 and 3/4: times the weight, minus the mean."""
    group = [_plan("yy", 0.0), _plan("yn", 0.0), _plan("nn", 0.0)]
    (found,) = group_advantages([group], LevelWeights(sequence=0.2), is_pooled=False)
    assert found == pytest.approx([0.2 * (7 / 8 - 7 / 12), 0.2 * (1 / 2 - 7 / 12), -0.2 * 5 / 24])


@pytest.mark.parametrize("task", [None, 4.0])
def test_scores_that_differ_are_z_scored_with_the_other_levels(task: float | None) -> None:
    """Mean 0 and deviation 1, whatever the weights are; a task figure alone tells apart as well."""
    group = [_plan("yy", 3.0 if task is None else 0.0, task=0.0), _plan("nn", 0.0, task=task)]
    (found,) = group_advantages([group], LevelWeights(score=3.0), is_pooled=False)
    assert sorted(found) == pytest.approx([-1.0, 1.0])


def test_pooled_advantages_are_clipped() -> None:
    """One group far wider than a hundred others stays within five deviations."""
    wide = [_plan("y", 100.0), _plan("n", -100.0)]
    narrow = [_plan("y", 1.0), _plan("n", -1.0)]
    found = group_advantages([wide] + [narrow] * 100, LevelWeights(), is_pooled=True)
    assert found[0] == [5.0, -5.0]
    assert 0 < found[1][0] < 0.2
