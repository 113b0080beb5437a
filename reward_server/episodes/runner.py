"""The interface to whatever runs episodes for the gateway."""

from typing import Protocol

from shared.errors import EpisodeConflict, EpisodeInterrupted, NotReady, RolloutError
from sim_workers.pool.episodes.dispatch import EpisodeStats
from sim_workers.pool.episodes.messages import EpisodeCall, EpisodeReply
from sim_workers.pool.episodes.turns import OriginSource
from sim_workers.pool.fair_queue import Flow

__all__ = ["EpisodeRunner", "NoEpisodes", "run_call"]


class EpisodeRunner(Protocol):
    """What the gateway needs from a component that runs episodes, such as the worker pool."""

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """The result of a call; raises the error if it fails."""

    def park(self, episode_ids: list[str]) -> None:
        """Ends the processes of episodes."""

    def is_live(self, episode_id: str) -> bool:
        """Whether an episode has a process."""

    def stats(self) -> EpisodeStats:
        """What the runner is currently doing."""


class NoEpisodes:
    """The runner of a gateway without workers for episodes."""

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """Refuses the call.

        Raises:
            NotReady: Always.
        """
        raise NotReady("this gateway has no workers for episodes")

    def park(self, episode_ids: list[str]) -> None:
        """Does nothing, because there are no processes."""

    def is_live(self, episode_id: str) -> bool:
        """Always False."""
        return False

    def stats(self) -> EpisodeStats:
        """All zero."""
        return EpisodeStats(0, 0, 0)


async def run_call(
    runner: EpisodeRunner, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
) -> EpisodeReply:
    """The result of a call, as routes give it.

    Raises:
        EpisodeInterrupted: A failure that passes.
        EpisodeConflict: A failure that does not; the code is the simulation's.
    """
    try:
        return await runner.run(call, source, flow, simulated_s)
    except RolloutError as exc:
        if exc.retryable:
            raise EpisodeInterrupted(exc.message, exc.code) from exc
        raise EpisodeConflict(exc.message, exc.code) from exc
