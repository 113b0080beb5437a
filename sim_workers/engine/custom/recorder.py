"""Sampling users' own metrics second by second in a rollout's process.

Their code may do anything. Whatever is not a finite number is an error of the rollout, and time and
memory are those that a rollout has.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import fsum
from numbers import Real
from typing import Any

import libsumo

from shared.domains.custom_metrics import CustomMetric
from shared.errors import RolloutError
from sim_workers.engine.custom.loading import LoadedMetric, LoadedMetrics, needed
from sim_workers.engine.custom.second import ReadOnlySumo, Second
from sim_workers.engine.readings import incoming_lanes, outgoing_lanes

__all__ = ["CustomRecorder"]


@dataclass
class _Metric:
    """One metric in one rollout."""

    name: str
    package: str
    sample: Callable[[Second], Any]
    total: Callable[[Sequence[float]], Any] | None
    samples: list[float] = field(default_factory=list)


class CustomRecorder:
    """Adds up users' own metrics over a rollout.

    Args:
        wanted: The metrics to sample.
        loaded: Those that this process has.
        signals: The observed traffic lights.
        horizon_s: Length of the rollout, seconds.

    Raises:
        RolloutError: ``metric_missing``, ``metric_differs``; ``metric_failed``: it cannot be begun.
    """

    def __init__(
        self,
        wanted: Sequence[CustomMetric],
        loaded: LoadedMetrics,
        signals: tuple[str, ...],
        horizon_s: int,
    ) -> None:
        self._metrics = [_begun(needed(loaded, one)) for one in wanted]
        self._sumo = ReadOnlySumo(libsumo)
        self._signals, self._horizon_s = signals, horizon_s
        self._incoming = tuple(dict.fromkeys(i for tls in signals for i in incoming_lanes(tls)))
        self._outgoing = tuple(dict.fromkeys(o for tls in signals for o in outgoing_lanes(tls)))

    def add(self, number: int) -> None:
        """Samples every metric in this second of the rollout, the first of which is 1.

        Raises:
            RolloutError: ``metric_failed``, ``metric_not_a_number`` or ``not_finite``.
        """
        second = Second(
            sumo=self._sumo,
            time_s=float(libsumo.simulation.getTime()),
            number=number,
            horizon_s=self._horizon_s,
            signals=self._signals,
            incoming_lanes=self._incoming,
            outgoing_lanes=self._outgoing,
        )
        for metric in self._metrics:
            place = f"in second {number}"
            value = _called(metric, place, metric.sample, second)
            metric.samples.append(_number(metric, place, value))

    def values(self) -> dict[str, float]:
        """The value of each metric over the seconds so far.

        Raises:
            RolloutError: ``metric_failed``, ``metric_not_a_number`` or ``not_finite``.
        """
        return {metric.name: _total(metric) for metric in self._metrics}


def _begun(loaded: LoadedMetric) -> _Metric:
    code, name, package = loaded.code, loaded.installed.name, loaded.installed.package
    assert code is not None, "it is needed only if it was loaded"  # noqa: S101
    if not isinstance(code, type):
        return _Metric(name, package, code, None)
    unbegun = _Metric(name, package, code, None)
    instance = _called(unbegun, "at the begin", code)
    return _Metric(name, package, instance.sample, getattr(instance, "total", None))


def _total(metric: _Metric) -> float:
    if metric.total is None:
        return fsum(metric.samples) / len(metric.samples)
    place = "over all seconds"
    return _number(metric, place, _called(metric, place, metric.total, tuple(metric.samples)))


def _called(metric: _Metric, place: str, code: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
    """What somebody's own code returns.

    Raises:
        RolloutError: ``metric_failed``.
    """
    try:
        return code(*arguments)
    except MemoryError:
        raise
    except (Exception, SystemExit) as exc:
        raise RolloutError(
            f"the metric {metric.name} of {metric.package} raised {type(exc).__name__} {place}: "
            f"{exc}",
            "metric_failed",
        ) from exc


def _number(metric: _Metric, place: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise RolloutError(
            f"the metric {metric.name} of {metric.package} is {_told(value)} {place}, not a number",
            "metric_not_a_number",
        )
    try:
        number = float(value)
    except OverflowError as exc:
        raise RolloutError(
            f"the metric {metric.name} of {metric.package} is too large {place}", "not_finite"
        ) from exc
    if not math.isfinite(number):
        raise RolloutError(
            f"the metric {metric.name} of {metric.package} is {number} {place}", "not_finite"
        )
    return number


def _told(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"
