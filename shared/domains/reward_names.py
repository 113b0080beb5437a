"""What rewards are called, in any domain, and what other domains than traffic have for metrics."""

import re
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import (
    ConfigDict,
    RootModel,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

__all__ = ["AnyReward", "AnyTerm", "DomainMetrics", "RewardName", "TermName"]

TermName = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay"]
"""The rewards that a sum may be made of."""
RewardName = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay", "sum"]
_OTHER = re.compile(r"[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}")
"""A reward of a domain that an installed package has added, ``<domain>.<reward>``."""


def _known(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Lets the names of packages' rewards pass; all others must be ours."""
    return value if isinstance(value, str) and _OTHER.fullmatch(value) else check(value)


def _schema(names: tuple[str, ...]) -> WithJsonSchema:
    other = {"type": "string", "pattern": f"^{_OTHER.pattern}$"}
    return WithJsonSchema({"anyOf": [{"enum": list(names)}, other]})


if TYPE_CHECKING:
    AnyTerm = str
    AnyReward = str
else:
    _TERMS = Literal[TermName, "plan_valid", "plan_progress"]
    _REWARDS = Literal[RewardName, "plan_valid", "plan_progress"]
    AnyTerm = Annotated[_TERMS, WrapValidator(_known), _schema(get_args(_TERMS))]
    AnyReward = Annotated[_REWARDS, WrapValidator(_known), _schema(get_args(_REWARDS))]


class DomainMetrics(RootModel[dict[str, int | float | None]]):
    """The metrics of another domain than traffic, by name."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
