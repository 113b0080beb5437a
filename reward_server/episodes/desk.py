"""The parts of a gateway that deal with episodes: the service and its background work."""

import asyncio
from contextlib import suppress
from typing import Self

from prometheus_client import CollectorRegistry

from reward_server.episodes.housekeeping import EpisodeHousekeeping
from reward_server.episodes.origins import EpisodeOrigins
from reward_server.episodes.playback import EpisodePlayback
from reward_server.episodes.runner import EpisodeRunner
from reward_server.episodes.service import EpisodeLimits, EpisodeService
from reward_server.episodes.states import EpisodeStates
from reward_server.episodes.store import EpisodeStore
from reward_server.episodes.telemetry import EpisodeTelemetry
from reward_server.scoring.admission import Admission
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from shared.wire.states import Simulator

__all__ = ["EpisodeDesk"]


class EpisodeDesk:
    """Starts and closes the service for episodes and its background work.

    Args:
        service: The service that the routes use.
        playback: Their way to earlier moments.
        store: The records.
        housekeeping: The background work.
    """

    def __init__(
        self,
        service: EpisodeService,
        playback: EpisodePlayback,
        store: EpisodeStore,
        housekeeping: EpisodeHousekeeping,
    ) -> None:
        self.service = service
        self.playback = playback
        self._store = store
        self.housekeeping = housekeeping
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
        keeping = EpisodeHousekeeping(service, store, telemetry, settings.episode_retention_days)
        playback = EpisodePlayback(service, store, origins, runner, admission)
        return cls(service, playback, store, keeping)

    def start(self) -> None:
        """Starts the housekeeping."""
        self._chores = asyncio.create_task(self.housekeeping.run())

    async def close(self) -> None:
        """Ends the housekeeping, and returns when every step is written."""
        if self._chores is not None:
            self._chores.cancel()
            with suppress(asyncio.CancelledError):
                await self._chores
        await self._store.close()
