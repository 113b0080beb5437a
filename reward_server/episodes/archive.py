"""Recorded episodes: looking them up and reading them, without advancing any."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from reward_server.auth.callers import Caller
from reward_server.episodes.records import StoredEpisode
from reward_server.episodes.store import EpisodeStore, StoredStep
from shared.errors import EpisodeConflict, EpisodeGone, IdempotencyConflict, UnknownEpisode
from shared.wire.episode_views import (
    EpisodeDetail,
    EpisodePage,
    EpisodeResult,
    EpisodeStatus,
)
from shared.wire.episodes import EpisodeFigures, StepAnswer
from shared.wire.states import Simulator

__all__ = ["Answered", "EpisodeArchive", "StepsRead", "gone", "visible"]

_EPISODE_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Answered:
    """The answer to a step."""

    json: bytes
    """A :class:`shared.wire.episodes.StepAnswer` as JSON."""
    episode_id: str
    is_new: bool = True
    """Whether the step was done just now; False if it is a repeated request."""

    def parsed(self) -> StepAnswer:
        """The answer as an object."""
        return StepAnswer.model_validate_json(self.json)


@dataclass(frozen=True)
class StepsRead:
    """Some steps of an episode, as JSON."""

    begin: bytes
    """The answer to the episode's creation."""
    steps: tuple[StoredStep, ...]
    total: int
    """Number of steps in the whole episode."""


class EpisodeArchive:
    """Reads what is recorded of episodes.

    Args:
        store: The records.
        is_live: Whether an episode has a process.
        simulator: The simulator that computes them.
    """

    def __init__(
        self, store: EpisodeStore, is_live: Callable[[str], bool], simulator: Simulator
    ) -> None:
        self._store = store
        self._is_live = is_live
        self._simulator = simulator

    async def find(self, caller: Caller, episode_id: str) -> StoredEpisode:
        """An episode, if the caller may see it: its owner, or a caller with the scope ``admin``.

        Raises:
            UnknownEpisode: The caller has no episode with that id.
            EpisodeGone: It was deleted.
        """
        is_id = _EPISODE_ID.fullmatch(episode_id) is not None
        stored = await self._store.find(episode_id) if is_id else None
        return visible(stored, caller, episode_id)

    async def show(self, caller: Caller, episode_id: str) -> EpisodeDetail:
        """The current status of an episode.

        Raises:
            UnknownEpisode: The caller has no episode with that id.
            EpisodeGone: It was deleted.
        """
        stored = await self.find(caller, episode_id)
        answer = StepAnswer.model_validate_json(await self._store.last_answer(stored))
        view = stored.view(self._is_live(episode_id))
        return EpisodeDetail(**dict(view), answer=answer)

    async def page(
        self, caller: Caller, limit: int, offset: int, status: EpisodeStatus | None = None
    ) -> EpisodePage:
        """Some of the caller's episodes, the newest first."""
        found, total = await self._store.page(caller.name, status, limit, offset)
        views = tuple(one.view(self._is_live(one.episode_id)) for one in found)
        return EpisodePage(episodes=views, total=total, limit=limit, offset=offset)

    async def result(self, caller: Caller, episode_id: str) -> EpisodeResult:
        """The figures of a finished episode.

        Raises:
            EpisodeConflict: ``episode_running``: it is not finished.
            UnknownEpisode, EpisodeGone: There is no such episode.
        """
        stored = await self._finished(caller, episode_id)
        text = await self._store.figures(episode_id)
        if text is None:
            raise gone(episode_id)
        spec, figures = stored.spec, EpisodeFigures.model_validate_json(text)
        return EpisodeResult(
            **dict(figures),
            episode_id=episode_id,
            scenario_id=stored.scenario_id,
            seed=spec.seed,
            scale=spec.scale,
            begin_s=spec.begin_s,
            end_s=spec.end_s,
            steps=stored.at.steps,
            simulator=self._simulator,
        )

    async def tripinfo(self, caller: Caller, episode_id: str) -> bytes:
        """SUMO's own trips of a finished episode; raises like :meth:`result`."""
        await self._finished(caller, episode_id)
        found = await self._store.tripinfo(episode_id)
        if found is None:
            raise gone(episode_id)
        return found

    async def actions(self, caller: Caller, episode_id: str) -> AsyncIterator[bytes]:
        """The commands given to the signals so far, as JSON lines; raises like :meth:`show`."""
        stored = await self.find(caller, episode_id)
        return self._store.actions(episode_id, stored.at.steps)

    async def steps(self, caller: Caller, episode_id: str, offset: int, limit: int) -> StepsRead:
        """Some steps with their requests and answers, and the begin; raises like :meth:`show`."""
        stored = await self.find(caller, episode_id)
        last = min(offset + limit, stored.at.steps) - 1
        steps = await self._store.steps(episode_id, offset, last)
        begin = await self._store.begin_answer(episode_id)
        return StepsRead(begin, tuple(steps), stored.at.steps)

    async def sent_before(
        self, caller: Caller, request_key: str | None, digest: str
    ) -> Answered | None:
        """The answer to the same request under the same key; None if there was none.

        Raises:
            IdempotencyConflict: The key was used for a different request.
        """
        if request_key is None:
            return None
        known = await self._store.find_sent(caller.name, request_key)
        return None if known is None else await self.same(known, digest)

    async def same(self, known: StoredEpisode, digest: str) -> Answered:
        """The answer to an episode's creation, if the new request is the same."""
        if known.digest != digest:
            raise IdempotencyConflict(
                "the Idempotency-Key was already used for another episode; use a new one"
            )
        answer = await self._store.begin_answer(known.episode_id)
        return Answered(answer, known.episode_id, is_new=False)

    async def _finished(self, caller: Caller, episode_id: str) -> StoredEpisode:
        stored = await self.find(caller, episode_id)
        if stored.status != "finished":
            raise EpisodeConflict(
                f"the episode is at {stored.time_s:g} s and ends at {stored.spec.end_s:g} s; step "
                "it to its end first",
                "episode_running",
            )
        return stored


def visible(stored: StoredEpisode | None, caller: Caller, episode_id: str) -> StoredEpisode:
    """An episode, if a caller may see it.

    Raises:
        UnknownEpisode, EpisodeGone: There is no such episode.
    """
    if stored is None or (stored.caller != caller.name and "admin" not in caller.scopes):
        raise UnknownEpisode(f"there is no episode {episode_id[:80]!r}")
    if stored.status == "deleted":
        raise gone(episode_id)
    return stored


def gone(episode_id: str) -> EpisodeGone:
    """The error for an episode that was deleted."""
    return EpisodeGone(f"episode {episode_id} was deleted")
