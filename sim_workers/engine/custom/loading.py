"""Loading the metrics of installed packages into a simulation process."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any

from shared.domains.custom_metrics import CustomMetric
from shared.errors import RolloutError
from sim_workers.engine.custom.installed import InstalledMetric

__all__ = ["LoadedMetric", "LoadedMetrics", "as_argument", "load", "needed"]

_Code = Callable[..., Any]


@dataclass(frozen=True)
class LoadedMetric:
    """A metric whose module was imported, or why it was not."""

    installed: InstalledMetric
    code: _Code | None
    failure: str = ""


LoadedMetrics = Mapping[str, LoadedMetric]
"""By name."""


def as_argument(metrics: Sequence[InstalledMetric]) -> str:
    """Metrics as an argument of the process that loads them."""
    return json.dumps([asdict(metric) for metric in metrics])


def load(argument: str) -> LoadedMetrics:
    """The metrics of an argument, each loaded or with the reason why not."""
    installed = [InstalledMetric(**fields) for fields in json.loads(argument)]
    return {metric.name: _loaded(metric) for metric in installed}


def needed(loaded: LoadedMetrics, wanted: CustomMetric) -> LoadedMetric:
    """The metric that a rollout wants.

    Raises:
        RolloutError: ``metric_missing``: it is not installed here, or cannot be imported;
            ``metric_differs``: it is another version of it.
    """
    found = loaded.get(wanted.name)
    if found is None:
        raise RolloutError(
            f"the worker has no metric {wanted.name}: install its package where workers run",
            "metric_missing",
        )
    if found.code is None:
        raise RolloutError(
            f"the metric {wanted.name} of {found.installed.package} cannot be loaded in a "
            f"simulation process: {found.failure}",
            "metric_missing",
        )
    if found.installed.digest != wanted.digest:
        raise RolloutError(
            f"the worker's metric {wanted.name} is not the one that the service found when it "
            "started: install the same version everywhere, and restart the service",
            "metric_differs",
        )
    return found


def _loaded(metric: InstalledMetric) -> LoadedMetric:
    module, _, attribute = metric.target.partition(":")
    try:
        code = attrgetter(attribute)(import_module(module))
    except (Exception, SystemExit) as exc:  # noqa: BLE001  somebody's own code
        return LoadedMetric(metric, None, f"{type(exc).__name__}: {exc}")
    if not callable(code):
        return LoadedMetric(metric, None, f"{metric.target} is neither a function nor a class")
    if isinstance(code, type) and not callable(getattr(code, "sample", None)):
        return LoadedMetric(metric, None, f"the class {metric.target} has no method sample")
    return LoadedMetric(metric, code)
