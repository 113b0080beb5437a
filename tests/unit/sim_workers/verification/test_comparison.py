"""What counts as a difference, and what a report makes of it."""

import pytest

from shared.dataset import Row
from shared.decisions import Extend
from shared.rewards import Metrics
from shared.signals import SignalState
from shared.wire.states import Restore, StateRecord
from sim_workers.engine.version import simulator
from sim_workers.verification.comparison import (
    SAME,
    Difference,
    Place,
    Unchecked,
    Verification,
    metric_differences,
    record_differences,
    row_differences,
)

_PLACE = Place("town@600-0", "c", None)


def _metrics(**changes: object) -> Metrics:
    fields: dict[str, object] = {
        "queue_veh": 1.5,
        "queue_veh_max": 3,
        "wait_s": 0.1,
        "speed_mps": 7.3,
        "throughput_veh": 4,
        "pressure_veh": -0.5,
        "network_queue_veh": 2.5,
        "delay_veh": 5.5,
    }
    return Metrics.model_validate(fields | changes)


def make_row(restore: Restore = "state", state_id: str = "town@600-0") -> Row:
    """A row of signal c."""
    return Row(
        prompt=(),
        state_id=state_id,
        scenario="town-0",
        tls_id="c",
        decision_kind="extend",
        current_phase=0,
        elapsed_green_s=6,
        min_green_s=5,
        max_green_s=60,
        time_s=600,
        seed=1,
        restore=restore,
        difficulty=0,
    )


def _verification(
    *differences: Difference,
    unchecked: tuple[Unchecked, ...] = (),
    compared: str | None = None,
) -> Verification:
    return Verification(
        rows=1,
        restores={"state": 1},
        decisions=2,
        different=len(differences),
        differences=differences,
        unchecked=unchecked,
        against="own",
        without_network=True,
        compared={} if compared is None else {"seed1": compared},
        promoted={},
        unverified={},
        custom=(),
        wall_s=1,
    )


def test_equal_metrics_do_not_differ() -> None:
    """Also where there was no vehicle, and where one of them has no series."""
    for changes in ({}, {"speed_mps": None}, {"series": (1, 2)}):
        same = metric_differences(_PLACE, "outcome", _metrics(**changes), _metrics(**changes))
        assert list(same) == []
    stored, true = _metrics(), _metrics(series=(1, 2))
    assert list(metric_differences(_PLACE, "outcome", stored, true)) == []


def test_users_own_metrics_are_not_compared() -> None:
    """Plain SUMO does not know them."""
    stored = _metrics(custom={"co2": 1.0})
    assert list(metric_differences(_PLACE, "outcome", stored, _metrics())) == []


@pytest.mark.parametrize(
    ("metric", "stored", "true"),
    [
        ("wait_s", 0.1 + 0.2, 0.3),
        ("throughput_veh", 5, 4),
        ("speed_mps", None, 7.3),
        ("speed_mps", 7.3, None),
        ("delay_veh", 5.5, 5.5000000000000009),
        ("delay_veh", 5.5, None),
    ],
)
def test_any_bit_is_a_difference(metric: str, stored: float | None, true: float | None) -> None:
    """Nothing is rounded, and null is not a number."""
    (found,) = metric_differences(
        _PLACE, "outcome", _metrics(**{metric: stored}), _metrics(**{metric: true})
    )
    assert found == Difference(_PLACE, "outcome", metric, stored, true)


def test_older_outcomes_claim_no_delay() -> None:
    """What a dataset stored before there was this metric is right without; the engine is not."""
    stored, true = _metrics(delay_veh=None), _metrics()
    assert list(metric_differences(_PLACE, "outcome", stored, true)) == []
    (found,) = metric_differences(_PLACE, "engine", stored, true)
    assert (found.metric, found.stored, found.true) == ("delay_veh", None, 5.5)


def test_series_are_compared_second_by_second() -> None:
    """Where both are there."""
    stored, true = _metrics(series=(1, 2, 3)), _metrics(series=(1, 5, 3))
    (found,) = metric_differences(_PLACE, "engine", stored, true)
    assert (found.metric, found.stored, found.true, found.size) == ("series[2]", 2, 5, 3)


def test_row_is_compared_with_its_signal() -> None:
    """The phase and how long it has been shown."""
    assert list(row_differences(make_row(), _shown(0, 6))) == []
    phase, elapsed = row_differences(make_row(), _shown(2, 7))
    assert (phase.metric, phase.true) == ("current_phase", 2)
    assert (elapsed.metric, elapsed.true) == ("elapsed_green_s", 7)


def test_record_is_compared_signal_by_signal() -> None:
    """A signal that only one of them has differs in everything."""
    record = StateRecord(
        state_id="town@600-0",
        scenario_id="town-0",
        time_s=600,
        seed=1,
        run="seed1",
        restore="state",
        verified_s=60,
        simulator=simulator(),
        signals={"a": _shown(0, 6), "b": _shown(0, 6)},
    )
    true = {"a": _shown(0, 6), "c": _shown(0, 6)}
    found = [(one.place.tls_id, one.metric) for one in record_differences(record, true)]
    fields = ("program_id", "phase", "elapsed_s")
    assert found == [(tls_id, field) for tls_id in "bc" for field in fields]


def _shown(phase: int, elapsed_s: float) -> SignalState:
    return SignalState(program_id="0", phase=phase, elapsed_s=elapsed_s)


def test_largest_difference_of_each_metric() -> None:
    """By size; what has no size comes last."""
    small = Difference(_PLACE, "outcome", "queue_veh", 1, 2)
    large = Difference(_PLACE, "outcome", "queue_veh", 7, 2)
    missing = Difference(_PLACE, "outcome", "speed_mps", None, 2)
    report = _verification(small, large, missing)
    assert report.largest() == {"queue_veh": large, "speed_mps": missing}
    assert missing.size is None


def test_exact_means_that_nothing_is_left_open() -> None:
    """Something that was not checked is not exact."""
    assert _verification().is_exact
    assert _verification().exact == 2
    assert not _verification(Difference(_PLACE, "outcome", "queue_veh", 1, 2)).is_exact
    assert not _verification(unchecked=(Unchecked(_PLACE, "no run"),)).is_exact


def test_run_that_is_not_the_users_own_is_not_exact() -> None:
    """Though every number of the dataset's own bundle is right."""
    assert _verification(compared=SAME).is_exact
    assert not _verification(compared="at 5 s vehicle a is elsewhere").is_exact


def test_place_names_the_decision() -> None:
    """As its one JSON text."""
    place = Place.of(make_row(), Extend(extend=False, extend_s=9))
    assert place.decision == '{"extend":false,"kind":"extend"}'
