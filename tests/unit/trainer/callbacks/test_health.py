"""Hints at what goes wrong: when each begins, how often it is said, and when not."""

from typing import Any

import pytest

from trainer.callbacks.health import HealthBounds, HealthWatch

BOUNDS = HealthBounds(window=4)

TROUBLES: list[tuple[str, dict[str, float], str]] = [
    ("invalid", {"outcomes/invalid": 0.31, "invalid/no_json": 0.3, "invalid/max": 0.01}, "no_json"),
    ("cut_off", {"completions/clipped_ratio": 0.51}, "cut off at max_new_tokens"),
    ("failing_rewards", {"outcomes/failed": 0.2, "failed/worker_lost": 0.2}, "worker_lost"),
    ("no_variance", {"outcomes/zero_variance_groups": 1.0}, "nothing is learned"),
    ("kl", {"kl": 1.5}, "1.50"),
    ("one_answer", {"outcomes/yes": 0.02}, "2.0%"),
    ("one_answer", {"outcomes/yes": 0.98}, "98.0%"),
]

WELL: list[dict[str, Any]] = [
    {"outcomes/invalid": 0.3},
    {"outcomes/failed": 0.1},
    {"completions/clipped_ratio": 0.5},
    {"outcomes/zero_variance_groups": 0.99},
    {"kl": 1.0},
    {"outcomes/yes": 0.03},
    {"outcomes/yes": 0.97},
    {"kl": None},
    {},
]


def _names(watch: HealthWatch, steps: range, metrics: dict[str, Any]) -> list[str]:
    return [hint.name for step in steps for hint in watch.look(step, metrics)]


@pytest.mark.parametrize(("name", "metrics", "says"), TROUBLES)
def test_trouble_is_told_once(name: str, metrics: dict[str, float], says: str) -> None:
    """After a whole window, with what is seen and what helps, in one line."""
    watch = HealthWatch(BOUNDS)
    assert _names(watch, range(1, 4), metrics) == []
    (hint,) = watch.look(4, metrics)
    assert (hint.name, _names(watch, range(5, 20), metrics)) == (name, [])
    assert says in hint.seen
    assert hint.helps
    assert "\n" not in str(hint)
    assert watch.episodes == {name: 1}


@pytest.mark.parametrize("metrics", WELL)
def test_what_is_within_the_bounds(metrics: dict[str, Any]) -> None:
    """The bounds themselves are no trouble, nor is what was not measured."""
    assert _names(HealthWatch(BOUNDS), range(1, 30), metrics) == []


def test_every_episode_is_told() -> None:
    """What was over and comes again is said again."""
    watch = HealthWatch(BOUNDS)
    bad, good = {"outcomes/yes": 0.0}, {"outcomes/yes": 0.4}
    said = [
        name
        for start, metrics in ((1, bad), (9, good), (17, bad))
        for name in _names(watch, range(start, start + 8), metrics)
    ]
    assert said == ["one_answer", "one_answer"]
    assert watch.episodes == {"one_answer": 2}


def test_a_line_counts_for_the_steps_that_it_sums_up() -> None:
    """Two lines of ten steps are a window of twenty; a single bad batch among good ones is none."""
    watch = HealthWatch(HealthBounds(window=20))
    bad = {"outcomes/invalid": 1.0}
    assert watch.look(10, bad) == []
    assert [hint.name for hint in watch.look(20, bad)] == ["invalid"]
    watch = HealthWatch(HealthBounds(window=20))
    assert watch.look(19, {"outcomes/invalid": 0.0}) == []
    assert watch.look(20, bad) == []


def test_the_most_frequent_code_is_not_the_newest() -> None:
    """A line from before a code was met had none of it."""
    watch = HealthWatch(BOUNDS)
    usual = {"outcomes/invalid": 0.6, "invalid/no_json": 0.6}
    for step in (1, 2, 3):
        watch.look(step, usual)
    (hint,) = watch.look(4, {"outcomes/invalid": 0.7, "invalid/no_json": 0.0, "invalid/max": 0.7})
    assert "'no_json'" in hint.seen


def test_resumed_run_begins_where_it_goes_on() -> None:
    """The first line after step 100 sums up the steps since then only."""
    watch = HealthWatch(BOUNDS)
    watch.begin(100)
    assert watch.look(101, {"kl": 9.0}) == []


def test_reads_as_one_line() -> None:
    """What is seen, then what helps."""
    (hint,) = HealthWatch(HealthBounds(window=1)).look(1, {"kl": 2.0})
    assert str(hint).startswith("the KL to the start is 2.00 over the last 1 steps, above 1: lower")


def test_answers_that_were_cut_off_explain_what_follows() -> None:
    """They are invalid and equal, but neither the form nor the temperature is to blame."""
    watch = HealthWatch(BOUNDS)
    line = {
        "completions/clipped_ratio": 1.0,
        "outcomes/invalid": 1.0,
        "invalid/unfinished_reasoning": 1.0,
        "outcomes/zero_variance_groups": 1.0,
    }
    assert _names(watch, range(1, 9), line) == ["cut_off"]
    line["completions/clipped_ratio"] = 0.0
    assert _names(watch, range(9, 20), line) == ["invalid", "no_variance"]
