"""Users' own metrics as requests name them."""

from collections.abc import Iterable, Sequence

from shared.domains.custom_metrics import CUSTOM, CustomMetric, custom_names
from shared.errors import InvalidRequest
from shared.rewards import RewardSpec
from shared.wire.info import MetricView
from sim_workers.engine.custom.installed import InstalledMetric

__all__ = ["CustomMetrics"]


class CustomMetrics:
    """The metrics that installed packages add to this service.

    Args:
        installed: As found at the start of the service.
    """

    def __init__(self, installed: Sequence[InstalledMetric] = ()) -> None:
        self._installed = {metric.name: metric for metric in installed}

    def wanted(
        self, reward: RewardSpec, names: Iterable[str] | None = None
    ) -> tuple[CustomMetric, ...]:
        """Those that a reward is made of or a request names, in the order of their names.

        Raises:
            InvalidRequest: ``unknown_metric``: no installed package adds it.
        """
        asked = custom_names((*(reward.terms or (reward.name,)), *(names or ())))
        missing = [name for name in asked if name not in self._installed]
        if missing:
            known = ", ".join(f"{CUSTOM}.{name}" for name in self._installed) or "none"
            raise InvalidRequest(
                f"no package installed at this service adds the metric {CUSTOM}.{missing[0]}; "
                f"there are: {known}",
                "unknown_metric",
            )
        return tuple(self._installed[name].wanted for name in asked)

    def views(self) -> tuple[MetricView, ...]:
        """The metrics as the API shows them."""
        return tuple(
            MetricView(name=f"{CUSTOM}.{one.name}", package=one.package, digest=one.digest)
            for one in self._installed.values()
        )
