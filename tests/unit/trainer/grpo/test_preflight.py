"""What is said before anything is loaded."""

from typing import Any

import pytest
from datasets import Dataset
from structlog.testing import capture_logs

from trainer.grpo.config import GRPOTrainingConfig
from trainer.grpo.preflight import _check_invalid_reward, _say_fidelity


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


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (["own", "own"], {}, None),
        (["own", "bundle", None], {}, {"bundle": 2}),
        (["unchecked"], {}, {"unchecked": 1}),
        ([], {}, {"bundle": 2}),
        (["own"], {"reward_seeds": [1, 2]}, {"seeds": [1, 2]}),
    ],
)
def test_rewards_that_nobody_has_compared_are_said_at_the_start(
    rows: list[str | None], settings: dict[str, Any], said: dict[str, Any] | None
) -> None:
    """Also those of version 0.1, whose rows say nothing, and those under other seeds."""
    named = {"fidelity": rows} if rows else {"state_id": ["a", "b"]}
    with capture_logs() as lines:
        _say_fidelity(GRPOTrainingConfig(**settings), Dataset.from_dict(named))
    assert len(lines) == (said is not None)
    if said is not None:
        assert lines[0]["log_level"] == "warning"
        assert said.items() <= lines[0].items()
