"""What is counted second by second, checked against sums done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.signals import Phase
from sim_workers.engine.metrics import MetricsRecorder, PassedVehicles, Sample


def _sample(vehicles: str, queue: int = 0, **given_fields: float) -> Sample:
    """A second in which the one-letter vehicles are on incoming lanes."""
    names = ("wait_s", "speed_sum_mps", "outgoing_veh", "network_queue_veh", "delay_veh")
    fields = dict.fromkeys(names, 0) | given_fields
    return Sample(frozenset(vehicles), queue, **fields)  # type: ignore[arg-type]


def test_metrics_of_three_seconds() -> None:
    """Every metric equals the number worked out on paper."""
    recorder = MetricsRecorder(frozenset("ab"))
    recorder.add(_sample("abc", 2, wait_s=4, speed_sum_mps=10, outgoing_veh=1, network_queue_veh=5))
    recorder.add(_sample("bc", 1, wait_s=5, speed_sum_mps=6, outgoing_veh=4, network_queue_veh=5))
    recorder.add(_sample("d", 1, wait_s=0, speed_sum_mps=14, outgoing_veh=2, network_queue_veh=3))
    metrics = recorder.metrics()
    assert metrics.queue_veh == 4 / 3
    assert metrics.queue_veh_max == 2
    assert metrics.wait_s == 3
    assert metrics.speed_mps == 30 / 6  # six vehicle-seconds
    assert metrics.throughput_veh == 3  # a, then b and c
    assert metrics.pressure_veh == (6 - 7) / 3
    assert metrics.network_queue_veh == 13 / 3
    assert metrics.series == (2, 1, 1)


def test_delay_is_the_mean_of_the_exact_sum() -> None:
    """Rounded once: added up one by one, these lose what is small."""
    recorder = MetricsRecorder(frozenset())
    for delay_veh in (1e16, 1.0, -1e16, 0.5):
        recorder.add(_sample("", delay_veh=delay_veh))
    assert recorder.metrics().delay_veh == 1.5 / 4


def test_vehicles_there_before_the_first_second_count_when_they_leave() -> None:
    """Throughput begins at the moment of the decision."""
    recorder = MetricsRecorder(frozenset("abc"))
    recorder.add(_sample("c"))
    assert recorder.metrics().throughput_veh == 2


def test_vehicle_that_comes_back_counts_each_time_it_leaves() -> None:
    """Leaving is counted, not vehicles."""
    recorder = MetricsRecorder(frozenset("a"))
    for vehicles in ("", "a", ""):
        recorder.add(_sample(vehicles))
    assert recorder.metrics().throughput_veh == 2


def test_empty_junction_has_no_speed() -> None:
    """With no vehicle there is no mean speed, rather than a zero that looks like a jam."""
    recorder = MetricsRecorder(frozenset())
    recorder.add(_sample(""))
    metrics = recorder.metrics()
    assert metrics.speed_mps is None
    assert metrics.queue_veh == metrics.pressure_veh == metrics.throughput_veh == 0


def test_nothing_sampled_is_an_error() -> None:
    """There is no mean of nothing."""
    with pytest.raises(ValueError, match="no second"):
        MetricsRecorder(frozenset("a")).metrics()


@given(
    st.lists(st.tuples(st.frozensets(st.sampled_from("abcdef")), st.integers(0, 6)), min_size=1),
    st.frozensets(st.sampled_from("abcdef")),
)
def test_metrics_are_consistent(
    seconds: list[tuple[frozenset[str], int]], before: frozenset[str]
) -> None:
    """The mean lies below the maximum, and what comes in goes out or is still there."""
    recorder = MetricsRecorder(before)
    arrived, here = 0, before
    for vehicles, queue in seconds:
        recorder.add(_sample("".join(sorted(vehicles)), queue))
        arrived, here = arrived + len(vehicles - here), vehicles
    metrics = recorder.metrics()
    assert metrics.series == tuple(queue for _, queue in seconds)
    assert 0 <= metrics.queue_veh <= metrics.queue_veh_max
    assert len(before) + arrived - metrics.throughput_veh == len(here)


_GREEN = Phase(duration_s=30, state="Gr", green_lanes=("n",))
_YELLOW = Phase(duration_s=3, state="yr")
_CROSS = Phase(duration_s=30, state="rG", green_lanes=("e",))


def _lanes(north: str, east: str) -> dict[str, frozenset[str]]:
    return {"n": frozenset(north), "e": frozenset(east)}


def test_vehicles_pass_during_their_green() -> None:
    """Those that leave the green's lanes are counted; others that leave are not."""
    passed = PassedVehicles()
    passed.update(0, _GREEN, _lanes("abc", "xy"))
    passed.update(0, _GREEN, _lanes("bc", "y"))
    passed.update(0, _GREEN, _lanes("c", "y"))
    assert passed.of_phase(0) == 2
    assert passed.of_phase(2) == 0


def test_nothing_is_counted_during_yellow_and_the_count_is_kept() -> None:
    """After its green a phase keeps the number of its latest green."""
    passed = PassedVehicles()
    passed.update(0, _GREEN, _lanes("abc", ""))
    passed.update(0, _GREEN, _lanes("bc", ""))
    passed.update(1, _YELLOW, _lanes("c", ""))
    passed.update(2, _CROSS, _lanes("c", ""))
    assert passed.of_phase(0) == 1


def test_each_green_starts_to_count_again() -> None:
    """The number is that of the latest green, not of all of them."""
    passed = PassedVehicles()
    passed.update(0, _GREEN, _lanes("ab", ""))
    passed.update(0, _GREEN, _lanes("", ""))
    passed.update(1, _YELLOW, _lanes("cd", ""))
    passed.update(0, _GREEN, _lanes("d", ""))
    assert passed.of_phase(0) == 1


def test_changing_lanes_is_not_passing() -> None:
    """A vehicle that is still on an incoming lane has not passed."""
    passed = PassedVehicles()
    passed.update(0, _GREEN, _lanes("ab", ""))
    passed.update(0, _GREEN, _lanes("b", "a"))
    assert passed.of_phase(0) == 0
