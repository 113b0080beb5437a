"""The schedule: the promised shares, their boundaries, and schedules of one's own."""

import pytest

from trainer.curriculum import CurriculumPhase, get_curriculum_weights
from trainer.curriculum.schedule import check_schedule

EARLY = {"easy": 0.7, "medium": 0.25, "hard": 0.05}
MIDDLE = {"easy": 0.4, "medium": 0.4, "hard": 0.2}
LATE = {"easy": 0.2, "medium": 0.4, "hard": 0.4}


@pytest.mark.parametrize(
    ("step", "max_steps", "expected"),
    [
        (0, 100, EARLY),
        (29, 100, EARLY),
        (30, 100, MIDDLE),
        (69, 100, MIDDLE),
        (70, 100, LATE),
        (99, 100, LATE),
        (100, 100, LATE),
        (250, 100, LATE),
        (2, 10, EARLY),
        (3, 10, MIDDLE),
        (6, 10, MIDDLE),
        (7, 10, LATE),
        (0, 1, EARLY),
        (1, 3, MIDDLE),
        (2, 3, MIDDLE),
    ],
)
def test_promised_shares(step: int, max_steps: int, expected: dict[str, float]) -> None:
    """70/25/5 for the first 30 % of the steps, 40/40/20 up to 70 %, 20/40/40 after."""
    assert get_curriculum_weights(step, max_steps) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "max_steps"), [(-1, 10), (0, 0)])
def test_steps_that_are_none(step: int, max_steps: int) -> None:
    """A step before the first, or of a run without steps, is an error."""
    with pytest.raises(ValueError, match="no step"):
        get_curriculum_weights(step, max_steps)


def test_a_schedule_of_ones_own() -> None:
    """Weights are relative; the shares add up to 1."""
    schedule = (
        CurriculumPhase(until=0.5, easy=3, medium=1, hard=0),
        CurriculumPhase(until=1, easy=0, medium=0, hard=9),
    )
    assert get_curriculum_weights(4, 10, schedule) == {"easy": 0.75, "medium": 0.25, "hard": 0}
    assert get_curriculum_weights(5, 10, schedule) == {"easy": 0, "medium": 0, "hard": 1}


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((), "until: 1.0"),
        ((0.5,), "until: 1.0"),
        ((0.5, 0.5, 1), "one after"),
        ((0.7, 0.3, 1), "one"),
    ],
)
def test_schedules_that_are_none(ends: tuple[float, ...], message: str) -> None:
    """Phases must follow each other and end with the run."""
    with pytest.raises(ValueError, match=message):
        check_schedule([CurriculumPhase(until=end, easy=1, medium=1, hard=1) for end in ends])


def test_a_phase_that_weighs_nothing() -> None:
    """Three zeros say nothing."""
    with pytest.raises(ValueError, match="all 0"):
        CurriculumPhase(until=1, easy=0, medium=0, hard=0)
