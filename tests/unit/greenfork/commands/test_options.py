"""Options by the names of what they set."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import pytest

from greenfork.commands.options import TermChoice, checked, fields_of
from greenfork.commands.outcomes import outcomes
from greenfork.commands.score import score
from shared.errors import InvalidRequest
from shared.rewards import FollowUp, RewardName, RewardSpec, TermName
from trainer.offline.candidates import MetricsReward
from trainer.sft.config import BestBy


@dataclass(frozen=True)
class _Plan:
    seeds: tuple[int, ...] = (1,)
    end_s: float | None = 9.0
    is_quick: bool = True


@pytest.mark.parametrize("nothing", [None, (), []])
def test_what_was_not_given_is_left_alone(nothing: object) -> None:
    """A repeatable option that nobody gave is empty, which is no value."""
    assert fields_of(_Plan, {"seeds": nothing, "end_s": None, "as_json": True}) == _Plan()


def test_what_was_given_is_taken() -> None:
    """Lists as tuples, what is false too; others than options win."""
    options = {"seeds": [2, 3], "end_s": 5.0, "is_quick": False}
    assert fields_of(_Plan, options, end_s=7.0) == _Plan((2, 3), 7.0, is_quick=False)


def test_part_of_a_request_is_checked() -> None:
    """As the service would; what belongs to other parts is passed over."""
    assert checked(RewardSpec, {"horizon_s": 30, "url": "x"}, name="queue") == RewardSpec(
        name="queue", horizon_s=30
    )
    with pytest.raises(InvalidRequest, match="horizon_s"):
        checked(RewardSpec, {"horizon_s": 0}, name="queue")


def test_every_reward_can_be_chosen_where_one_is() -> None:
    """Metrics alone do not give what compares with another rollout."""
    terms = {*get_args(TermName)}
    assert {*get_args(TermChoice)} == {*get_args(BestBy)} == terms
    assert {*get_args(MetricsReward)} == terms - {"queue_gain"}
    assert {*get_args(RewardName)} == terms | {"sum"}


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        (score, "name", get_args(RewardName)),
        (score, "follow_up", get_args(FollowUp)),
        (outcomes, "reward", get_args(TermName)),
        (outcomes, "follow_up", get_args(FollowUp)),
    ],
)
def test_help_names_every_value(
    command: Callable[..., None], option: str, values: tuple[str, ...]
) -> None:
    """Of options that are checked by the service's own models."""
    (said,) = inspect.signature(command).parameters[option].annotation.__metadata__
    assert all(value in said.help for value in values)
