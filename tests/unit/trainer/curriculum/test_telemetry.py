"""What a curriculum logs of a batch."""

from types import SimpleNamespace

import pytest

from trainer.curriculum import Curriculum, GradedSample, buckets_of
from trainer.curriculum.telemetry import CurriculumMetrics

CURRICULUM = Curriculum(
    buckets_of([GradedSample(domain, value) for domain in "ab" for value in range(5)]),
    2,
    max_steps=10,
)


def _columns(domains: str, levels: list[str], step: int = 0) -> dict[str, object]:
    return {
        "curriculum_domain": list(domains),
        "curriculum_level": levels,
        "trainer_state": SimpleNamespace(global_step=step),
    }


def test_weights_counts_and_rewards() -> None:
    """Of a batch of two prompts with two completions each, one of which failed."""
    columns = _columns("aabb", ["easy", "easy", "hard", "hard"], step=3)
    metrics = CurriculumMetrics(CURRICULUM, num_generations=2).of([1.0, 0.0, None, -1.0], columns)
    assert metrics == {
        "curriculum/weight/easy": 0.4,
        "curriculum/weight/medium": 0.4,
        "curriculum/weight/hard": 0.2,
        "curriculum/share/easy": 0.5,
        "curriculum/share/medium": 0.0,
        "curriculum/share/hard": 0.5,
        "curriculum/prompts/a": 1.0,
        "curriculum/prompts/b": 1.0,
        "reward_by_level/easy": 0.5,
        "reward_by_level/hard": -1.0,
        "reward_by_domain/a": 0.5,
        "reward_by_domain/b": -1.0,
    }


def test_what_failed_altogether_has_no_reward() -> None:
    """No number stands in for one that is not there."""
    columns = _columns("ab", ["easy", "easy"])
    metrics = CurriculumMetrics(CURRICULUM, 1).of([None, 0.5], columns)
    assert "reward_by_domain/a" not in metrics
    assert metrics["reward_by_level/easy"] == 0.5


def test_prompts_of_all_ranks_are_counted() -> None:
    """The mean over two ranks, one of which has a domain alone, is the number in the batch."""
    measure = CurriculumMetrics(CURRICULUM, num_generations=2, ranks=2)
    one = measure.of([0.0, 0.0], _columns("aa", ["easy", "easy"]))
    other = measure.of([0.0, 0.0], _columns("bb", ["easy", "easy"]))
    for domain in "ab":
        name = f"curriculum/prompts/{domain}"
        assert (one[name] + other[name]) / 2 == pytest.approx(1.0)
