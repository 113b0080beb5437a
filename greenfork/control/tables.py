"""The comparison of controllers as a table for people, 80 columns wide."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from greenfork.control.summaries import ControlSummary, summary_of
from greenfork.screen import figure, say, screen

if TYPE_CHECKING:
    from greenfork.control.endpoint import EndpointReport
    from sim_workers.controllers.control_run import ControlRun

__all__ = ["print_comparison", "print_endpoint"]

_MAX_LISTED = 20
_CAPTION = (
    "Seconds and vehicles. delay: time loss and departure delay of all vehicles, unfinished ones "
    "included; median over the seeds. stuck: gridlocked seeds."
)
_COLUMNS = ("delay", "mean", "95 %", "trip", "queue", "stuck", "invalid", "s/decision")


def print_comparison(title: str, runs: "Sequence[ControlRun]") -> None:
    """Prints a row per controller, the cost of looking ahead, and the failures."""
    from rich.box import SIMPLE
    from rich.table import Table

    from sim_workers.controllers.control_run import by_controller

    table = Table(title=title, caption=_CAPTION, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("controller", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    summaries = {name: summary_of(found) for name, found in by_controller(runs).items()}
    for name, summary in summaries.items():
        table.add_row(name, *_cells(summary))
    screen().print(table)
    for name, summary in summaries.items():
        if summary.rollouts:
            say(
                f"{name}: {summary.rollouts} rollouts, "
                f"{figure(summary.decisions_per_s, '.3g')} decisions a second"
            )
    _list_failures([run for run in runs if run.error])


def print_endpoint(report: "EndpointReport") -> None:
    """Prints how fast an endpoint answered."""
    say(
        f"{report.model} at {report.url}: {report.requests} requests, {report.failed} failed, at "
        f"most {report.most_at_once} at once; latency {figure(report.latency_median_s, '.3g')} s "
        f"(median), 95 % below {figure(report.latency_95_s, '.3g')} s; "
        f"{figure(report.requests_per_s, '.3g')} answers a second"
    )


def _cells(summary: ControlSummary) -> list[str]:
    delay, trip, queue = summary.delay, summary.travel_time, summary.queue
    half_width_s = delay.half_width if delay else None
    return [
        figure(delay.median if delay else None, ".1f"),
        figure(delay.mean if delay else None, ".1f"),
        "-" if half_width_s is None else f"± {half_width_s:.1f}",
        figure(trip.median if trip else None, ".1f"),
        figure(queue.median if queue else None, ".2f"),
        f"{summary.gridlocked}/{summary.finished}",
        figure(summary.invalid_share, ".1%"),
        figure(summary.decision_s, ".2g"),
    ]


def _list_failures(failed: "Sequence[ControlRun]") -> None:
    for run in failed[:_MAX_LISTED]:
        assert run.error is not None  # noqa: S101
        said = f"{run.error.message} [{run.error.code}]"
        say(f"{run.controller}, seed {run.seed}: {said}", err=True)
    if len(failed) > _MAX_LISTED:
        say(f"and {len(failed) - _MAX_LISTED} more failures", err=True)
