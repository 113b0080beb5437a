"""The mixture of lessons: how many of each source, about which rows, the same every time."""

from collections import Counter
from pathlib import Path

import pytest

from shared.errors import ConfigError, DatasetError
from shared.language.completions import parse_completion
from shared.language.prompts import in_words
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import points_of
from trainer.settings import load_settings
from trainer.sft.config import LessonShares, SFTTrainingConfig
from trainer.sft.lessons import draw_lessons


def _settings(**changes: object) -> SFTTrainingConfig:
    return load_settings(SFTTrainingConfig, None, {"dataset_path": "rows", **changes})


def test_shares_are_kept_to_the_lesson(tmp_path: Path) -> None:
    """60 % of ten are six."""
    points = points_of(tmp_path, [Moment(queued=(n, 4)) for n in range(5)])
    config = _settings(source={"reading": 0.6, "noisy_rule": 0.4}, lessons=10)

    lessons = draw_lessons(points, config)

    assert Counter(lesson.source for lesson in lessons) == {"reading": 6, "noisy_rule": 4}


def test_every_row_comes_up_once_before_any_comes_up_again(tmp_path: Path) -> None:
    """Twelve lessons of five rows: each row two or three times."""
    points = points_of(tmp_path, [Moment(queued=(n, 4)) for n in range(5)])

    lessons = draw_lessons(points, _settings(source="format", lessons=12))

    assert sorted(Counter(lesson.prompt for lesson in lessons).values()) == [2, 2, 2, 3, 3]


def test_lessons_depend_on_the_seed_alone(tmp_path: Path) -> None:
    """A resumed run must see the lessons of the first one."""
    points = points_of(tmp_path, [Moment(queued=(n, 4)) for n in range(9)])
    config = _settings(source={"reading": 1, "format": 1}, lessons=40)

    assert draw_lessons(points, config) == draw_lessons(points, config)
    assert draw_lessons(points, config) != draw_lessons(points, _settings(**_other_seed(config)))


def test_best_decisions_come_up_as_often_as_they_matter(tmp_path: Path) -> None:
    """A row at which three times as much is at stake comes up about three times as often."""
    moments = [Moment(yes_veh=4, queued=(1, 0)), Moment(yes_veh=6, queued=(2, 0))]
    points = points_of(tmp_path, moments)

    drawn = draw_lessons(points, _settings(source="best", lessons=1000))
    even = draw_lessons(points, _settings(source="best", lessons=1000, weight_by_gap=False))

    assert 700 < Counter(lesson.prompt for lesson in drawn)[points[1].prompt] < 800
    assert Counter(lesson.prompt for lesson in even)[points[1].prompt] == 500


def test_rows_at_which_nothing_is_at_stake_are_drawn_evenly(tmp_path: Path) -> None:
    """Weights that are all 0 say nothing."""
    points = points_of(tmp_path, [Moment(yes_veh=3, no_veh=3)] * 2)

    assert len(draw_lessons(points, _settings(source="best"))) == 2


def test_rows_at_which_little_is_at_stake_can_be_left_out_of_the_best(tmp_path: Path) -> None:
    """At the bound is not above it; other sources teach every row; nothing left is said."""
    moments = [Moment(yes_veh=3 + gap, no_veh=3, queued=(n, 0)) for n, gap in enumerate((0, 1, 2))]
    points = points_of(tmp_path, moments)
    asked = {"min_gap_veh": 1, "weight_by_gap": False, "lessons": 6}

    best = draw_lessons(points, _settings(source="best", **asked))
    form = draw_lessons(points, _settings(source="format", **asked))

    assert Counter(lesson.prompt for lesson in best) == {points[2].prompt: 6}
    assert set(Counter(lesson.prompt for lesson in form).values()) == {2}
    with pytest.raises(DatasetError, match="none of 3 rows has more than min_gap_veh = 2 vehicles"):
        draw_lessons(points, _settings(source="best", min_gap_veh=2))


@pytest.mark.parametrize("source", ["best", "format", "longest_queue", "most_vehicles"])
def test_answers_to_decisions_can_be_read(tmp_path: Path, source: str) -> None:
    """What is taught is the form that is asked for."""
    points = points_of(tmp_path, [Moment(queued=(3, 1)), Moment(queued=(1, 3))])

    for lesson in draw_lessons(points, _settings(source=source)):
        parse_completion(lesson.answer, "extend")


def test_an_unknown_source_is_answered_with_the_nearest() -> None:
    """By name alone and in a mixture."""
    with pytest.raises(ConfigError, match="did you mean 'longest_queue'"):
        _settings(source="longestqueue")
    with pytest.raises(ConfigError, match="did you mean 'reading'"):
        _settings(source={"readings": 1})


def test_a_mixture_of_nothing_is_refused() -> None:
    """All shares are 0."""
    with pytest.raises(ConfigError, match="nothing to teach"):
        _settings(source={})


def test_shares_are_relative() -> None:
    """They are given as shares of 1, and settings that were written are read back."""
    config = _settings(source={"reading": 3, "best": 1})

    assert config.source == LessonShares(reading=3, best=1)
    assert config.to_dict()["source"] == {"best": 0.25, "reading": 0.75}
    assert SFTTrainingConfig(**config.to_dict()).source.given == config.source.given


def test_a_new_model_has_no_adapter() -> None:
    """There is nothing that could be frozen."""
    assert _settings(model_path="new", lora_rank=8).lora_rank == 0
    assert _settings(model_path="folder", lora_rank=8).lora_rank == 8


def _other_seed(config: SFTTrainingConfig) -> dict[str, object]:
    return {**config.to_dict(), "seed": config.seed + 1}


def test_lessons_in_words_ask_the_same(tmp_path: Path) -> None:
    """The same rows in the same order with the same answers, and prompts in words."""
    points = points_of(tmp_path, [Moment(queued=(3, 1)), Moment(yes_veh=2, queued=(1, 3))])

    plain = draw_lessons(points, _settings(source="best", lessons=6))
    told = draw_lessons(points, _settings(source="best", lessons=6, prompt_form="words"))

    assert [lesson.answer for lesson in told] == [lesson.answer for lesson in plain]
    assert [lesson.prompt for lesson in told] == [in_words(lesson.prompt) for lesson in plain]


def test_reading_is_taught_in_words_as_well(tmp_path: Path) -> None:
    """The same questions and answers about states in words."""
    points = points_of(tmp_path, [Moment(queued=(3, 1)), Moment(queued=(1, 4))])

    plain = draw_lessons(points, _settings(source="reading", lessons=8))
    told = draw_lessons(points, _settings(source="reading", lessons=8, prompt_form="words"))

    assert [lesson.answer for lesson in told] == [lesson.answer for lesson in plain]
    assert [lesson.prompt[0] for lesson in told] == [lesson.prompt[0] for lesson in plain]
    assert all(lesson.prompt[-1].content.startswith("Green now: phase ") for lesson in told)
