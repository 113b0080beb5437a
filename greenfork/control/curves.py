"""The course of a controller's episodes as numbers: queues by minute, and how delays are spread."""

from collections.abc import Sequence
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.episodes.episode import FinishedEpisode

__all__ = ["curves_as_json"]

_MINUTE_S = 60
_PARTS = 20
"""Delays are told at every twentieth of the vehicles."""


def curves_as_json(runs: "Sequence[ControlRun]") -> dict[str, Any] | None:
    """What happened over the hour, for ``greenfork report``; None if no episode finished.

    ``queue_veh`` holds the standing vehicles of the network, mean of each minute: median, least and
    most over the seeds. It is null where a service ran the episodes, because it has no summary of
    SUMO's. ``delay_s`` holds the delay that 0, 5, … 100 % of all vehicles do not exceed.
    """
    finished = [run.finished for run in runs if run.finished]
    if not finished:
        return None
    return {
        "begin_s": finished[0].record.spec.begin_s,
        "step_s": _MINUTE_S,
        "seeds": len(finished),
        "queue_veh": _queues(finished),
        "delay_s": _delays_s(finished),
    }


def _queues(finished: "Sequence[FinishedEpisode]") -> dict[str, list[float]] | None:
    if not all(one.outputs.summary for one in finished):
        return None
    minutes = list(zip(*map(_by_minute, finished), strict=False))
    return {
        "median": [median(one) for one in minutes],
        "low": [min(one) for one in minutes],
        "high": [max(one) for one in minutes],
    }


def _by_minute(episode: "FinishedEpisode") -> list[float]:
    """Standing vehicles, mean of each minute; the last one may be shorter."""
    from sim_workers.episodes.figures import seconds_of

    halting = [one.halting for one in seconds_of(episode.outputs.summary)]
    spec = episode.record.spec
    each = max(1, round(len(halting) * _MINUTE_S / max(spec.end_s - spec.begin_s, 1)))
    return [fmean(halting[first : first + each]) for first in range(0, len(halting), each)]


def _delays_s(finished: "Sequence[FinishedEpisode]") -> list[float] | None:
    """The delay that so many twentieths of the vehicles do not exceed; None with less than two."""
    from sim_workers.episodes.figures import trips_of

    found = [
        trip.time_loss_s + trip.depart_delay_s
        for one in finished
        for trip in trips_of(one.outputs.tripinfo)
    ]
    if len(found) < 2:
        return None
    return [min(found), *quantiles(found, n=_PARTS, method="inclusive"), max(found)]
