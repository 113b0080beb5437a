"""Users' own metrics: their names, in rewards, and in what a request gets to see."""

import json
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.errors import RolloutError
from shared.rewards import (
    AnyMetrics,
    MetricName,
    Metrics,
    RewardSpec,
    is_traffic,
    mean_metrics,
    needs_reference,
    reward_of,
)
from shared.wire.scoring import ScoreRequest

_ANY: TypeAdapter[Any] = TypeAdapter(AnyMetrics)


def _metrics(custom: dict[str, float] | None = None, queue_veh: float = 2) -> Metrics:
    return Metrics(
        queue_veh=queue_veh,
        queue_veh_max=4,
        wait_s=9,
        throughput_veh=3,
        pressure_veh=1,
        network_queue_veh=5,
        custom=custom,
    )


def test_a_reward_is_the_metric_itself() -> None:
    """Alone, and with a weight in a sum beside the built-in ones."""
    metrics = _metrics({"co2": 12.5})
    alone = RewardSpec(name="custom.co2")
    both = RewardSpec(name="sum", terms={"custom.co2": -0.5, "queue": 1.0})
    assert (reward_of(alone, metrics, None), reward_of(both, metrics, None)) == (12.5, -8.25)
    assert is_traffic(alone)
    assert is_traffic(both)
    assert not needs_reference(both)


@pytest.mark.parametrize("custom", [None, {"stops": 1.0}])
def test_what_was_not_observed_has_no_reward(custom: dict[str, float] | None) -> None:
    """It is no zero."""
    with pytest.raises(RolloutError) as caught:
        reward_of(RewardSpec(name="custom.co2"), _metrics(custom), None)
    assert caught.value.code == "undefined_metric"


@pytest.mark.parametrize("name", ["custom.", "custom.CO2", "custom.a.b", "custom", "co2"])
def test_other_names_are_refused(name: str) -> None:
    """In a reward, as a term, and among the metrics."""
    with pytest.raises(ValidationError):
        RewardSpec(name=name)
    with pytest.raises(ValidationError):
        RewardSpec(name="sum", terms={name: 1.0})
    item = {"state_id": "s", "tls_id": "c", "decision": {"kind": "extend", "extend": True}}
    with pytest.raises(ValidationError):
        ScoreRequest.model_validate({"items": [item], "metrics": [name]})


def test_results_without_them_are_as_they_were() -> None:
    """There is no new key in a result or in the ledger."""
    assert "custom" not in json.loads(_metrics().model_dump_json())
    assert "custom" not in json.loads(_metrics().shown(["wait_s"], False).model_dump_json())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, {"co2": 1.5, "stops": 2.0}),
        (["custom.co2"], {"co2": 1.5}),
        (["wait_s", "custom.stops"], {"stops": 2.0}),
        ([*get_args(MetricName), "custom.stops"], {"stops": 2.0}),
        (["wait_s"], None),
        ([*get_args(MetricName)], None),
    ],
)
def test_a_request_sees_those_that_it_names(
    names: list[str] | None, expected: dict[str, float] | None
) -> None:
    """All where it names none; and a client reads again what was written."""
    shown = _metrics({"co2": 1.5, "stops": 2.0}).shown(names, with_series=False)
    written = shown.model_dump_json()
    assert json.loads(written).get("custom") == expected
    assert _ANY.validate_json(written) == shown


def test_their_means_over_seeds() -> None:
    """Of those that every run has."""
    runs = [_metrics({"co2": 1.0, "stops": 2.0}), _metrics({"co2": 4.0})]
    assert mean_metrics(runs).custom == {"co2": 2.5}
    assert mean_metrics([_metrics(), _metrics()]).custom is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_only_finite_values_are_read(value: float) -> None:
    """Neither from a worker nor from a ledger."""
    with pytest.raises(ValidationError):
        _metrics({"co2": value})
