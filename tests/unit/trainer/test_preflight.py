"""What is said before anything is loaded."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from trainer.config import GRPOTrainingConfig
from trainer.preflight import _check_invalid_reward


def summed(**terms: float) -> dict[str, Any]:
    """The settings of a weighted sum."""
    return {"reward_name": "sum", "reward_terms": terms}


@pytest.mark.parametrize(
    ("settings", "is_said"),
    [
        ({}, False),
        ({"invalid_reward": -0.5}, True),
        ({"reward_name": "queue"}, True),
        ({"reward_name": "queue", "invalid_as_worst": True}, False),
        ({"reward_name": "speed"}, False),
        (summed(queue=1), True),
        (summed(queue=1) | {"invalid_as_worst": True}, False),
        (summed(queue=-1, wait=0), False),
        (summed(speed=1, queue_gain=1), False),
        (summed(speed=-0.1), True),
        (summed(queue_gain=3), True),
        (summed(queue_gain=3) | {"invalid_reward": -3}, False),
        (summed(speed=1, pressure=0.1), True),
    ],
)
def test_answers_that_cannot_be_read_may_be_worth_too_much(
    settings: dict[str, Any], is_said: bool
) -> None:
    """Where some decision may get less; of a sum, by its terms and their signs."""
    with capture_logs() as lines:
        _check_invalid_reward(GRPOTrainingConfig(**settings))
    assert [line["log_level"] for line in lines] == ["warning"] * is_said
