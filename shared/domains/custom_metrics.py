"""Users' own metrics of traffic: what they are called, and what a rollout is told of them.

A metric that an installed package calls ``co2`` is ``custom.co2`` in rewards and among the metrics
that a request names, and ``metrics.custom.co2`` in results. How it is observed is
:mod:`sim_workers.engine.custom`.
"""

import re
from collections.abc import Iterable

from shared.model import WireModel

__all__ = ["CUSTOM", "CustomMetric", "custom_names", "is_custom", "is_metric_name"]

CUSTOM = "custom"
"""The first part of their names; no domain can be called so."""
_PREFIX = f"{CUSTOM}."
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class CustomMetric(WireModel):
    """A metric that a rollout observes beside the built-in ones."""

    name: str
    """Without ``custom.``."""
    digest: str
    """Of its package's files, 64 hex digits; part of the outcome's key."""


def is_metric_name(name: str) -> bool:
    """Whether a package may call a metric so.

    >>> is_metric_name("co2_mg"), is_metric_name("CO2"), is_metric_name("")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def is_custom(name: str) -> bool:
    """Whether a name in a reward or in a request's ``metrics`` is that of a user's own metric.

    >>> is_custom("custom.co2"), is_custom("queue"), is_custom("custom.")
    (True, False, False)
    """
    return name.startswith(_PREFIX) and is_metric_name(name.removeprefix(_PREFIX))


def custom_names(names: Iterable[str]) -> tuple[str, ...]:
    """The users' own metrics among some names: without ``custom.``, sorted, each once.

    >>> custom_names(["queue", "custom.co2", "custom.a", "custom.co2"])
    ('a', 'co2')
    """
    return tuple(sorted({name.removeprefix(_PREFIX) for name in names if is_custom(name)}))
