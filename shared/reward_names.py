"""What rewards are called, in any domain, and what other domains than traffic have for metrics."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, RootModel, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["AnyReward", "AnyTerm", "DomainMetrics", "RewardName", "TermName"]

TermName = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay"]
"""The rewards that a sum may be made of."""
RewardName = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay", "sum"]
_PLANNING = ("plan_valid", "plan_progress")
_OTHER = re.compile(r"[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}")
"""A reward of a domain that an installed package has added, ``<domain>.<reward>``."""


def _known(names: Sequence[str]) -> Any:  # noqa: ANN401 - a type
    """A reward's name: one of ours, or one that is named after its domain."""

    def check(value: str) -> str:
        if value not in names and not _OTHER.fullmatch(value):
            expected = f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
            raise PydanticCustomError(
                "literal_error", "Input should be {expected}", {"expected": expected}
            )
        return value

    schema = {
        "anyOf": [{"enum": list(names)}, {"type": "string", "pattern": f"^{_OTHER.pattern}$"}]
    }
    return Annotated[str, AfterValidator(check), WithJsonSchema(schema)]


if TYPE_CHECKING:
    AnyTerm = str
    AnyReward = str
else:
    AnyTerm = _known((*get_args(TermName), *_PLANNING))
    AnyReward = _known((*get_args(RewardName), *_PLANNING))


class DomainMetrics(RootModel[dict[str, int | float | None]]):
    """The metrics of another domain than traffic, by name."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
