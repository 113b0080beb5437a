"""The course of episodes as numbers."""

import json

import pytest

from greenfork.control.curves import curves_as_json
from sim_workers.controllers.control_run import ControlRun
from tests.unit.greenfork.control.finished_episodes import run_of


def test_queues_are_means_of_minutes() -> None:
    """Median and range over the seeds; five minutes have five values."""
    runs = [run_of("fixed", seed=seed) for seed in (1, 2)]
    curves = curves_as_json(runs)
    assert curves is not None
    by_second = [second % 9 for second in range(300)]
    means = [sum(by_second[first : first + 60]) / 60 for first in range(0, 300, 60)]
    for name in ("median", "low", "high"):
        assert curves["queue_veh"][name] == pytest.approx(means)
    assert (curves["begin_s"], curves["step_s"], curves["seeds"]) == (25_200, 60, 2)
    json.dumps(curves, allow_nan=False)


def test_delays_are_those_of_all_vehicles() -> None:
    """Of those that have arrived, that are under way, and that never departed."""
    curves = curves_as_json([run_of("fixed")])
    assert curves is not None
    delays_s = curves["delay_s"]
    assert len(delays_s) == 21
    assert (delays_s[0], delays_s[10], delays_s[-1]) == (12.0, 82.5, 100.0)
    assert delays_s == sorted(delays_s)


def test_what_is_not_known_is_null() -> None:
    """A service does not tell SUMO's summary; of failed episodes there is nothing at all."""
    curves = curves_as_json([run_of("fixed", is_told=False)])
    assert curves is not None
    assert curves["queue_veh"] is None
    assert curves_as_json([ControlRun("fixed", 1, None, None)]) is None
