"""Periodic work on all episodes: parking idle ones, counting, and deleting old ones."""

import structlog

from reward_server.episodes.service import EpisodeService
from reward_server.episodes.store import EpisodeStore
from reward_server.episodes.telemetry import EpisodeTelemetry
from reward_server.housekeeping import DAY_S, keep_house

__all__ = ["EpisodeHousekeeping"]

_LOG = structlog.get_logger("reward_server")


class EpisodeHousekeeping:
    """Keeps the episodes of a gateway in order.

    Args:
        service: Parks idle episodes.
        store: The episodes of all gateways.
        telemetry: Receives the counts.
        retention_days: How long finished episodes are kept.
    """

    def __init__(
        self,
        service: EpisodeService,
        store: EpisodeStore,
        telemetry: EpisodeTelemetry,
        retention_days: float,
    ) -> None:
        self._service = service
        self._store = store
        self._telemetry = telemetry
        self._retention_s = retention_days * DAY_S

    async def run(self) -> None:
        """Does the work until it is cancelled."""
        await keep_house(self.look, "episodes_not_counted")

    async def look(self, is_sweeping: bool) -> None:
        """Does the work once.

        Raises:
            LedgerError: The database failed.
        """
        parked = self._service.park_idle()
        if parked:
            _LOG.info("episodes_parked", episodes=parked)
        if is_sweeping:
            deleted = await self._store.sweep(self._retention_s)
            if deleted:
                _LOG.info("episodes_deleted", episodes=deleted)
        self._telemetry.totals = await self._store.totals()
