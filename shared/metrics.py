"""The metrics of a rollout: all of them, and those that a request gets to see.

How they are observed is :mod:`sim_workers.engine.metrics`; what is made of them,
:mod:`shared.rewards`.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    Discriminator,
    Field,
    FiniteFloat,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue

from shared.domains.custom_metrics import CUSTOM, custom_names, is_custom
from shared.domains.reward_names import DomainMetrics
from shared.model import WireModel

__all__ = ["AnyMetricName", "AnyMetrics", "MetricName", "Metrics", "NamedMetrics", "ShownMetrics"]

MetricName = Literal[
    "queue_veh",
    "queue_veh_max",
    "wait_s",
    "speed_mps",
    "throughput_veh",
    "pressure_veh",
    "network_queue_veh",
    "delay_veh",
]
"""The metrics that every service has."""


def _known(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Lets the names of users' own metrics pass; all others must be ours."""
    return value if isinstance(value, str) and is_custom(value) else check(value)


if TYPE_CHECKING:
    AnyMetricName = str
else:
    _SCHEMA = {
        "anyOf": [
            {"enum": list(get_args(MetricName))},
            {"type": "string", "pattern": r"^custom\.[a-z][a-z0-9_]{0,31}$"},
        ]
    }
    AnyMetricName = Annotated[MetricName, WrapValidator(_known), WithJsonSchema(_SCHEMA)]
"""The metrics that a request may name: these, and ``custom.<name>`` of installed packages."""

_CustomValues = dict[str, FiniteFloat] | None
_Custom = Annotated[_CustomValues, Field(exclude_if=lambda values: values is None)]
"""Users' own metrics by name, without ``custom.``; left out where none was observed."""


class Metrics(WireModel):
    """What was observed during one rollout, sampled after each simulated second t+1 … t+horizon.

    Where several signals are observed, their incoming lanes count together, each lane once.
    """

    queue_veh: float
    """Mean number of vehicles on incoming lanes slower than 0.1 m/s."""
    queue_veh_max: float
    """The largest such number in any second."""
    wait_s: float
    """Mean of the summed waiting time of the vehicles on incoming lanes, seconds."""
    speed_mps: float | None = None
    """Mean speed over all vehicle-seconds on incoming lanes; null if no vehicle was ever there."""
    throughput_veh: int | float
    """Vehicles that left the incoming lanes: a whole number, but for a mean over seeds."""
    pressure_veh: float
    """Mean of vehicles on incoming lanes minus vehicles on outgoing lanes."""
    network_queue_veh: float
    """Mean number of vehicles slower than 0.1 m/s on all lanes of the network."""
    delay_veh: float | None = None
    """Mean of what the whole network loses: the sum of 1 - speed / allowed speed over the vehicles
    on its roads, and of 1 over those waiting to be inserted. Null only where an outcome
    was recorded before there was this metric."""
    series: tuple[int, ...] | None = None
    """The queue after each second, where it was asked for."""
    custom: _Custom = None
    """Users' own metrics by name, where the reward or the request names some."""

    def shown(self, names: Collection[str] | None, with_series: bool) -> "ShownMetrics":
        """What a request gets to see of them.

        Args:
            names: Those that it named; None, like naming each, for all of them.
            with_series: Whether it asked for the series.

        >>> metrics = Metrics(queue_veh=2, queue_veh_max=4, wait_s=9, throughput_veh=3,
        ...     pressure_veh=1, network_queue_veh=5, series=(0, 4))
        >>> metrics.shown(["wait_s", "speed_mps"], with_series=False).model_dump_json()
        '{"wait_s":9.0,"speed_mps":null}'
        """
        if names is None:
            return self if with_series else self.model_copy(update={"series": None})
        named = custom_names(names)
        own = {name: value for name, value in (self.custom or {}).items() if name in named}
        if set(names) >= set(get_args(MetricName)):
            left = {"custom": own or None} | ({} if with_series else {"series": None})
            return self.model_copy(update=left)
        wanted = {*names, "series"} if with_series else {*names}
        values: dict[str, Any] = {n: v for n, v in self if n in wanted}
        return NamedMetrics.model_validate(values | ({"custom": own} if own else {}))


class NamedMetrics(WireModel):
    """Those of a rollout's :class:`Metrics` that a request named; the others are not in its JSON.

    So null says the same as there: there is no such number, not that it was not asked for.
    """

    queue_veh: float | None = None
    queue_veh_max: float | None = None
    wait_s: float | None = None
    speed_mps: float | None = None
    throughput_veh: int | float | None = None
    pressure_veh: float | None = None
    network_queue_veh: float | None = None
    delay_veh: float | None = None
    series: tuple[int, ...] | None = None
    custom: _Custom = None

    @model_serializer(mode="wrap")
    def _without_others(
        self, handler: SerializerFunctionWrapHandler
    ) -> dict[str, int | float | list[int] | tuple[int, ...] | dict[str, float] | None]:
        return {name: v for name, v in handler(self).items() if name in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Mapping[str, Any], handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The fields, which the serializer hides from whoever reads the API's documentation."""
        plain: Any = {key: value for key, value in core_schema.items() if key != "serialization"}
        return handler(plain)


ShownMetrics = Annotated[Metrics | NamedMetrics, Field(union_mode="left_to_right")]
"""Of traffic."""


def _metrics_kind(value: object) -> str:
    """Metrics that have no name in common with traffic's are of another domain.

    A client passes over keys that it does not know, so the model alone would not tell.
    """
    if isinstance(value, Mapping):
        return "metrics:traffic" if not value or value.keys() & _NAMES else "metrics:domain"
    return "metrics:domain" if isinstance(value, DomainMetrics) else "metrics:traffic"


_NAMES = {*get_args(MetricName), "series", CUSTOM}
AnyMetrics = Annotated[
    Annotated[ShownMetrics, Tag("metrics:traffic")]
    | Annotated[DomainMetrics, Tag("metrics:domain")],
    Discriminator(_metrics_kind),
]
"""Of any domain."""
