"""Who runs episodes for the gateway."""

from typing import Protocol

from shared.errors import NotReady
from sim_workers.pool.episodes.dispatch import EpisodeStats
from sim_workers.pool.episodes.messages import EpisodeCall, EpisodeReply
from sim_workers.pool.episodes.turns import OriginSource
from sim_workers.pool.fair_queue import Flow

__all__ = ["EpisodeRunner", "NoEpisodes"]


class EpisodeRunner(Protocol):
    """What the gateway needs from a component that runs episodes, such as the worker pool."""

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """What becomes of a call; raises what went wrong."""

    def park(self, episode_ids: list[str]) -> None:
        """Lets the processes of episodes go."""

    def is_live(self, episode_id: str) -> bool:
        """Whether an episode has a process."""

    def stats(self) -> EpisodeStats:
        """What the runner is doing."""


class NoEpisodes:
    """Stands for workers where there are none for episodes."""

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """Refuses.

        Raises:
            NotReady: There are none.
        """
        raise NotReady("this gateway has no workers for episodes")

    def park(self, episode_ids: list[str]) -> None:
        """There is nothing to let go."""

    def is_live(self, episode_id: str) -> bool:
        """None is."""
        return False

    def stats(self) -> EpisodeStats:
        """Nothing."""
        return EpisodeStats(0, 0, 0)
