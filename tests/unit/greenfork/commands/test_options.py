"""Options by the names of what they set."""

from dataclasses import dataclass

import pytest

from greenfork.commands.options import checked, fields_of
from shared.errors import InvalidRequest
from shared.rewards import RewardSpec


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
