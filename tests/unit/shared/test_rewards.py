"""Rewards: their formulae, the ranges they keep, and the mean over seeds."""

import json
import math
import statistics
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.errors import RolloutError
from shared.rewards import (
    MetricName,
    Metrics,
    NamedMetrics,
    RewardSpec,
    ShownMetrics,
    TermName,
    delay,
    mean_metrics,
    mean_reward,
    needs_reference,
    pressure,
    queue,
    queue_gain,
    reward_of,
    speed,
    wait,
    weighted_sum,
)

_QUEUES = st.floats(0, 1e6, allow_nan=False)
_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
_TERMS: tuple[TermName, ...] = ("queue", "queue_gain", "wait", "pressure", "speed", "delay")
_WEIGHTS = st.dictionaries(st.sampled_from(_TERMS), _NUMBERS, min_size=1)


def _metrics(queue_veh: float = 0, **others: Any) -> Metrics:  # noqa: ANN401
    known: dict[str, Any] = {
        "queue_veh": queue_veh,
        "queue_veh_max": queue_veh,
        "wait_s": 0,
        "throughput_veh": 0,
        "pressure_veh": 0,
        "network_queue_veh": 0,
    }
    return Metrics(**known | others)


_RUN = _metrics(2.0, wait_s=31.5, pressure_veh=-3.25, speed_mps=6.5, delay_veh=12.75)
_REFERENCE = _metrics(5.0, wait_s=60, pressure_veh=9, speed_mps=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue", -2.0),
        ("queue_gain", 0.375),
        ("wait", -31.5),
        ("pressure", -3.25),
        ("speed", 6.5),
        ("delay", -12.75),
    ],
)
def test_reward_equals_its_formula(name: Any, value: float) -> None:  # noqa: ANN401
    """Worked out by hand; also as the only term of a sum, times its weight."""
    assert reward_of(RewardSpec(name=name), _RUN, _REFERENCE) == value
    total = RewardSpec(name="sum", terms={name: -2.0})
    assert reward_of(total, _RUN, _REFERENCE) == -2.0 * value


@pytest.mark.parametrize("name", [name for name in _TERMS if name != "queue_gain"])
def test_reward_that_does_not_compare_ignores_the_reference(name: Any) -> None:  # noqa: ANN401
    """It needs none either."""
    spec = RewardSpec(name=name)
    assert not needs_reference(spec)
    assert reward_of(spec, _RUN, None) == reward_of(spec, _RUN, _REFERENCE)


@pytest.mark.parametrize(
    ("queue_veh", "reference", "gain"),
    [(0, 0, 0.0), (4, 4, 0.0), (0, 9, 0.9), (9, 0, -0.9), (1, 2, 0.25), (3, 4.5, 1.5 / 8.5)],
)
def test_queue_gain_equals_the_formula(queue_veh: float, reference: float, gain: float) -> None:
    """``(Q_ref - Q) / (Q_ref + Q + 1)``, worked out by hand."""
    spec = RewardSpec(name="queue_gain")
    assert reward_of(spec, _metrics(queue_veh), _metrics(reference)) == gain


@pytest.mark.parametrize(
    "spec", [RewardSpec(), RewardSpec(name="sum", terms={"queue_gain": 0.0, "wait": 1.0})]
)
def test_gain_needs_a_reference_alone_and_as_a_term(spec: RewardSpec) -> None:
    """A reward that compares says so, and refuses to be computed without."""
    assert needs_reference(spec)
    with pytest.raises(ValueError, match="queue_gain needs the reference"):
        reward_of(spec, _RUN, None)


@pytest.mark.parametrize(
    "spec", [RewardSpec(name="speed"), RewardSpec(name="sum", terms={"queue": 1, "speed": 0.0})]
)
def test_speed_without_a_vehicle_is_undefined(spec: RewardSpec) -> None:
    """It is an error that says which metric, and that no retry helps; never a number."""
    with pytest.raises(RolloutError, match="speed_mps is undefined") as caught:
        reward_of(spec, _metrics(0, speed_mps=None), None)
    assert (caught.value.code, caught.value.retryable) == ("undefined_metric", False)


@pytest.mark.parametrize(
    "spec", [RewardSpec(name="delay"), RewardSpec(name="sum", terms={"queue": 1, "delay": 0.0})]
)
def test_delay_that_was_not_recorded_is_undefined(spec: RewardSpec) -> None:
    """Outcomes may be older than the metric; nothing takes its place, not even with weight 0."""
    with pytest.raises(RolloutError, match="delay_veh was not recorded") as caught:
        reward_of(spec, _metrics(3.0), None)
    assert caught.value.code == "undefined_metric"


@pytest.mark.parametrize("weights", [{"queue": 1e308}, {"queue": 1e308, "wait": -1e308}])
def test_sum_out_of_range_is_no_number(weights: dict[TermName, float]) -> None:
    """Neither infinity nor NaN is ever a reward."""
    with pytest.raises(RolloutError, match="the reward sum is") as caught:
        reward_of(RewardSpec(name="sum", terms=weights), _RUN, None)
    assert caught.value.code == "not_finite"


@pytest.mark.parametrize(
    "number", [queue(0.0), wait(0.0), pressure(0.0), pressure(-0.0), delay(0.0)]
)
def test_nothing_is_rewarded_with_plain_zero(number: float) -> None:
    """Not with -0.0, which prints as another number."""
    assert math.copysign(1, number) == 1


@given(_QUEUES, _QUEUES)
def test_queue_gain_stays_between_minus_one_and_one(queue_veh: float, reference: float) -> None:
    """The bounds themselves are never reached."""
    assert -1 < queue_gain(queue_veh, reference) < 1


@given(_QUEUES, _QUEUES)
def test_queue_gain_says_which_is_better(queue_veh: float, reference: float) -> None:
    """Positive where the decision shortens the queue, and antisymmetric."""
    gain = queue_gain(queue_veh, reference)
    assert (gain > 0) == (queue_veh < reference)
    assert gain == -queue_gain(reference, queue_veh)


@given(_QUEUES, _QUEUES, _QUEUES)
def test_shorter_queues_are_never_worse(one: float, other: float, reference: float) -> None:
    """More queue, less reward, under both rewards; and so with waiting."""
    assume(one < other)
    assert queue_gain(one, reference) >= queue_gain(other, reference)
    assert queue(one) > queue(other)
    assert wait(one) > wait(other)


@given(_NUMBERS)
def test_pressure_has_no_direction(pressure_veh: float) -> None:
    """Too few vehicles downstream are as unbalanced as too many, and balance is best."""
    assert pressure(pressure_veh) == pressure(-pressure_veh) <= 0


@given(_QUEUES)
def test_speed_is_its_own_reward(speed_mps: float) -> None:
    """Whatever it is."""
    assert speed(speed_mps) == speed_mps


@given(_WEIGHTS)
def test_sum_does_not_depend_on_how_it_is_written(weights: dict[TermName, float]) -> None:
    """The same terms in another order are the same number to the last bit."""
    backwards = dict(reversed(weights.items()))
    values = {name: 1 / (3 + index) for index, name in enumerate(_TERMS)}
    assert weighted_sum(weights, values) == weighted_sum(backwards, values)
    assert weighted_sum(weights, values) == pytest.approx(
        math.fsum(weights[name] * values[name] for name in weights), abs=1e-6
    )


@given(st.lists(_NUMBERS, min_size=2, max_size=32))
def test_mean_over_seeds(rewards: list[float]) -> None:
    """With ``s / sqrt(n)``, ``n - 1`` in ``s``; the order of the seeds does not matter."""
    mean, stderr = mean_reward(rewards)
    assert mean == pytest.approx(sum(rewards) / len(rewards), abs=1e-6)
    assert min(rewards) <= mean <= max(rewards)
    assert stderr is not None
    squares = statistics.variance(rewards)
    assert stderr == pytest.approx(math.sqrt(squares / len(rewards)), abs=1e-6)
    assert mean_reward(rewards[::-1]) == (mean, stderr)


def test_one_seed_has_no_standard_error() -> None:
    """Nothing can be said of the spread of one number."""
    assert mean_reward([0.1]) == (0.1, None)


def test_standard_error_out_of_range_is_no_number() -> None:
    """It is an error as any other reward that is no number."""
    with pytest.raises(RolloutError) as caught:
        mean_reward([1.7e308, -1.7e308])
    assert caught.value.code == "not_finite"


def test_mean_metrics() -> None:
    """Each metric's own mean; vehicles may be halves; there is no mean series."""
    one = _metrics(1.0, throughput_veh=3, speed_mps=4.0, wait_s=2, series=(1, 1))
    other = _metrics(2.0, throughput_veh=4, speed_mps=5.0, wait_s=5, series=(2, 2))
    mean = mean_metrics([one, other])
    assert (mean.queue_veh, mean.queue_veh_max, mean.throughput_veh) == (1.5, 1.5, 3.5)
    assert (mean.speed_mps, mean.wait_s, mean.series) == (4.5, 3.5, None)


def test_metrics_of_one_run_are_as_they_are() -> None:
    """Whole vehicles stay whole numbers, and the series is kept."""
    run = _metrics(1.0, throughput_veh=3, series=(1, 1))
    assert mean_metrics([run]) is run
    assert '"throughput_veh":3,' in run.model_dump_json()


def test_mean_speed_needs_a_vehicle_under_every_seed() -> None:
    """A mean over fewer seeds would be of other traffic."""
    assert mean_metrics([_metrics(1, speed_mps=4.0), _metrics(1, speed_mps=None)]).speed_mps is None


@pytest.mark.parametrize(("other", "mean"), [(4.0, 3.0), (None, None)])
def test_mean_delay_needs_one_of_every_seed(other: float | None, mean: float | None) -> None:
    """Where one was recorded without, there is no mean."""
    runs = [_metrics(1, delay_veh=2.0), _metrics(1, delay_veh=other)]
    assert mean_metrics(runs).delay_veh == mean


_NAMES: tuple[MetricName, ...] = get_args(MetricName)
_SHOWN: TypeAdapter[ShownMetrics] = TypeAdapter(ShownMetrics)


def test_every_metric_can_be_named() -> None:
    """The series and users' own metrics, named in other ways, have their places beside them."""
    assert {*_NAMES, "series", "custom"} == {*Metrics.model_fields} == {*NamedMetrics.model_fields}


@given(
    st.sets(st.sampled_from(_NAMES), min_size=1),
    st.booleans(),
    st.none() | st.floats(0, 50),
    st.integers(0, 9) | st.floats(0, 9),
)
def test_named_metrics_are_written_as_they_are_among_all(
    names: set[MetricName], with_series: bool, speed_mps: float | None, throughput_veh: float
) -> None:
    """To the digit, null where there is no such number; and read again as what they were."""
    metrics = _metrics(
        0.1,
        speed_mps=speed_mps,
        throughput_veh=throughput_veh,
        wait_s=1 / 3,
        delay_veh=speed_mps,
        series=(0, 1),
    )
    shown = metrics.shown(names, with_series)
    written = json.loads(shown.model_dump_json())
    full = json.loads(metrics.model_dump_json())
    expected = {*names, "series"} if with_series else {*names}
    if len(names) < len(_NAMES):
        assert {name: repr(value) for name, value in written.items()} == {
            name: repr(full[name]) for name in expected
        }
    read = _SHOWN.validate_json(shown.model_dump_json())
    assert {name: getattr(read, name) for name in expected} == {
        name: getattr(metrics, name) for name in expected
    }


def test_naming_each_is_naming_none() -> None:
    """In whatever order."""
    metrics = _metrics(1.0, series=(0, 2))
    for with_series in (False, True):
        assert metrics.shown(_NAMES[::-1], with_series) == metrics.shown(None, with_series)
