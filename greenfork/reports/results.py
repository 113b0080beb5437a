"""What a report tells of the JSON that ``evaluate --json`` and ``control --json`` print."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenfork.reports.numbers import estimate, is_number, rounded
from greenfork.reports.page import Chart, Curve, Interval, Intervals, Section, Table

__all__ = ["section_of_control", "section_of_evaluation"]

_ESTIMATES = (
    ("Regret, vehicles", "regret_veh_invalid_worst"),
    ("Agreement with the best", "agreement_clear"),
    ("Share of yes", "yes"),
)
_EVERY_PERCENT = 5


def section_of_evaluation(name: str, found: Mapping[str, Any]) -> Section:
    """Policies on the same decision points, with the intervals of their figures."""
    policies = [(str(one["policy"]), one["overall"]) for one in found["policies"]]
    rows = [
        [policy, *(estimate(figures.get(key)) for _, key in _ESTIMATES)]
        for policy, figures in policies
    ]
    columns = ["Policy", *(title for title, _ in _ESTIMATES)]
    figures = [("Points", f"{found['points']}"), ("Runs", f"{found['runs']}")]
    level = f"{found['level']:.0%}"
    note = f"Reward {found['reward']} over {found['horizon_s']} s; intervals of {level}."
    shown = (
        _intervals(title, ((policy, one.get(key)) for policy, one in policies))
        for title, key in _ESTIMATES[:2]
    )
    table = Table("Policies on the same decision points", columns, rows)
    return Section(
        f"Evaluation: {name}",
        note,
        figures,
        intervals=[one for one in shown if one.rows],
        tables=[table],
    )


def section_of_control(name: str, found: Mapping[str, Any]) -> Section:
    """Controllers on the same seeds: queues over the hour, delays, figures."""
    controllers = found["controllers"]
    tables = [
        _controllers(f"{found['scenario']}, protocol {found['protocol']}", controllers),
        _episodes(controllers),
    ]
    note = "Delay: time loss and departure delay of all vehicles, unfinished ones included."
    delays = _intervals(
        "Delay, mean s",
        (
            (
                str(one["name"]),
                _around(one.get("delay_mean_s"), one.get("delay_half_width_s")),
            )
            for one in controllers
        ),
        note="Mean over the seeds; intervals of 95 %.",
    )
    charts = [chart for chart in (_queues(controllers), _delays(controllers)) if chart.series]
    return Section(
        f"Control: {name}",
        note,
        charts=charts,
        intervals=[delays] if delays.rows else [],
        tables=tables,
    )


def _controllers(title: str, controllers: Sequence[Mapping[str, Any]]) -> Table:
    keys = (
        *("delay_median_s", "delay_mean_s", "delay_half_width_s"),
        *("travel_time_median_s", "queue_median_veh", "gridlocked", "failed"),
    )
    columns = ["Controller", "Delay, median s", "Mean s", "± 95 %", "Trip s", "Queue, vehicles"]
    rows = [[str(one["name"]), *(rounded(one.get(key)) for key in keys)] for one in controllers]
    return Table(title, [*columns, "Stuck", "Failed"], rows)


def _episodes(controllers: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            str(one["name"]),
            f"{episode['seed']}",
            rounded((episode["figures"] or {}).get("delay_s")),
        ]
        for one in controllers
        for episode in one["episodes"]
    ]
    return Table("Delay of each episode", ["Controller", "Seed", "Delay s"], rows)


def _queues(controllers: Sequence[Mapping[str, Any]]) -> Chart:
    """Standing vehicles by minute; the band is the range over the seeds."""
    series = []
    for one in controllers:
        queues = (one.get("curves") or {}).get("queue_veh")
        if queues:
            has_band = one["curves"]["seeds"] > 1
            band = {"low": queues["low"], "high": queues["high"]} if has_band else {}
            series.append(Curve(str(one["name"]), queues["median"], **band))
    title = "Queue: standing vehicles in the network, by minute"
    return Chart(title, series, note="Median over the seeds; the band is their range.")


def _delays(controllers: Sequence[Mapping[str, Any]]) -> Chart:
    """The delay that so many per cent of the vehicles do not exceed."""
    series = [
        Curve(str(one["name"]), delays_s)
        for one in controllers
        if (delays_s := (one.get("curves") or {}).get("delay_s"))
    ]
    title = "Delay, s, that so many per cent of the vehicles do not exceed"
    return Chart(title, series, step=_EVERY_PERCENT, note="All vehicles of all seeds.")


def _intervals(title: str, found: Iterable[tuple[str, Any]], note: str = "") -> Intervals:
    """Those of which everything is known."""
    keys = ("value", "low", "high")
    rows = [
        Interval(name, *(one[key] for key in keys))
        for name, one in found
        if isinstance(one, Mapping) and all(is_number(one.get(key)) for key in keys)
    ]
    return Intervals(title, rows, note)


def _around(mean: object, half_width: object) -> dict[str, float] | None:
    """A mean and its interval; None where there was one episode only."""
    if not isinstance(mean, int | float) or not isinstance(half_width, int | float):
        return None
    return {"value": mean, "low": mean - half_width, "high": mean + half_width}
