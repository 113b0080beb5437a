"""The parts of a gateway that deal with episodes: the service and its background work."""

import asyncio
from contextlib import suppress
from typing import Self

import structlog
from prometheus_client import CollectorRegistry

from reward_server.episodes.origins import EpisodeOrigins
from reward_server.episodes.playback import EpisodePlayback
from reward_server.episodes.runner import EpisodeRunner
from reward_server.episodes.service import EpisodeLimits, EpisodeService
from reward_server.episodes.states import EpisodeStates
from reward_server.episodes.store import EpisodeStore
from reward_server.episodes.telemetry import EpisodeTelemetry
from reward_server.housekeeping import DAY_S, keep_house
from reward_server.scoring.admission import Admission
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from shared.wire.states import Simulator

__all__ = ["EpisodeDesk"]


_LOG = structlog.get_logger("reward_server")


class EpisodeDesk:
    """Starts and closes the service for episodes, and keeps all episodes in order.

    Args:
        service: The service that the routes use; parks idle episodes.
        playback: Their way to earlier moments.
        store: The episodes of all gateways.
        telemetry: Receives the counts.
        retention_days: How long finished episodes are kept.
    """

    def __init__(
        self,
        service: EpisodeService,
        playback: EpisodePlayback,
        store: EpisodeStore,
        telemetry: EpisodeTelemetry,
        retention_days: float,
    ) -> None:
        self.service = service
        self.playback = playback
        self._store = store
        self._telemetry = telemetry
        self._retention_s = retention_days * DAY_S
        self._chores: asyncio.Task[None] | None = None

    @classmethod
    def of(
        cls,
        settings: ServerSettings,
        database: Database,
        origins: EpisodeOrigins,
        states: EpisodeStates,
        runner: EpisodeRunner,
        admission: Admission,
        registry: CollectorRegistry,
        simulator: Simulator,
    ) -> Self:
        """Creates the parts and connects them."""
        store = EpisodeStore(database)
        telemetry = EpisodeTelemetry(registry, runner.stats)
        limits = EpisodeLimits(settings.max_episodes, settings.episode_park_after_s)
        service = EpisodeService(
            store, origins, states, runner, admission, limits, telemetry, simulator
        )
        playback = EpisodePlayback(service, store, origins, runner, admission)
        return cls(service, playback, store, telemetry, settings.episode_retention_days)

    def start(self) -> None:
        """Starts the housekeeping."""
        self._chores = asyncio.create_task(keep_house(self.look, "episodes_not_counted"))

    async def look(self, is_sweeping: bool) -> None:
        """Parks idle episodes, deletes old ones if it is time to, and counts them all.

        Raises:
            LedgerError: The database failed.
        """
        parked = self.service.park_idle()
        if parked:
            _LOG.info("episodes_parked", episodes=parked)
        if is_sweeping:
            deleted = await self._store.sweep(self._retention_s)
            if deleted:
                _LOG.info("episodes_deleted", episodes=deleted)
        self._telemetry.totals = await self._store.totals()

    async def close(self) -> None:
        """Ends the housekeeping, and returns when every step is written."""
        if self._chores is not None:
            self._chores.cancel()
            with suppress(asyncio.CancelledError):
                await self._chores
        await self._store.close()
