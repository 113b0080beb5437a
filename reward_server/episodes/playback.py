"""Earlier moments of episodes: what was to be seen there, and what other decisions would have done.

The record of an episode holds its decisions and answers, but not its vehicles. So a worker repeats
it, in a process of its own that ends afterwards; the episode itself is not touched.
"""

import asyncio
import json
import math
import secrets
from collections.abc import Sequence

import structlog

from reward_server.auth.callers import Caller
from reward_server.episodes.archive import EpisodeArchive
from reward_server.episodes.origins import EpisodeOrigins, Planned
from reward_server.episodes.records import StoredEpisode
from reward_server.episodes.runner import EpisodeRunner, run_call
from reward_server.episodes.store import EpisodeStore
from reward_server.scoring.admission import Admission
from shared.errors import (
    InvalidRequest,
    TraceDiffers,
)
from shared.wire.episode_views import CandidatesRequest, CandidatesResponse
from shared.wire.episodes import StepAnswer
from shared.wire.viewing.episode_traces import MAX_EPISODE_TRACED_S
from sim_workers.engine.episodes.messages import Watch
from sim_workers.episodes.position import Position
from sim_workers.pool.episodes.messages import (
    EpisodeCall,
    EpisodeOrigin,
    EpisodeReply,
    EpisodeVerb,
    ShownSpan,
)

__all__ = ["EpisodePlayback"]

_LOG = structlog.get_logger("reward_server")
_TOLERANCE_S = 1e-6


class EpisodePlayback:
    """Has workers repeat episodes up to an earlier moment.

    Args:
        archive: Finds the episodes that a caller may see.
        store: Their records.
        origins: What they begin from.
        runner: Repeats them.
        admission: Bounds what is under way.
    """

    def __init__(
        self,
        archive: EpisodeArchive,
        store: EpisodeStore,
        origins: EpisodeOrigins,
        runner: EpisodeRunner,
        admission: Admission,
    ) -> None:
        self._archive = archive
        self._store = store
        self._origins = origins
        self._runner = runner
        self._admission = admission

    async def trace(
        self,
        caller: Caller,
        episode_id: str,
        from_s: float | None = None,
        to_s: float | None = None,
        tls_id: str | None = None,
    ) -> bytes:
        """What was to be seen in a part of an episode.

        Args:
            caller: Who asks.
            episode_id: The episode.
            from_s: Begin of the part; None: of the episode. Seconds of simulated time.
            to_s: Its end; None: as late as one answer allows.
            tls_id: The traffic light whose surroundings are shown; None: the whole network.

        Returns:
            JSON of :class:`shared.wire.viewing.episode_traces.EpisodeTrace`.

        Raises:
            UnknownEpisode, EpisodeGone: There is no such episode.
            InvalidRequest: ``outside_episode``, ``trace_too_long`` or ``unknown_signal``.
            TraceDiffers: The repeated steps were not answered as on record.
            EpisodeConflict: SUMO refuses to repeat it.
            Overloaded, EpisodeInterrupted, LedgerError: Ask again.
        """
        stored = await self._archive.find(caller, episode_id)
        if tls_id is not None and tls_id not in stored.signals:
            raise InvalidRequest(
                f"signal {tls_id[:80]!r} is not steered in this episode; leave tls_id out to see "
                "the whole network",
                "unknown_signal",
            )
        watch = _span(stored, from_s, to_s).model_copy(update={"tls_id": tls_id})
        spec = stored.spec
        steps = math.ceil((watch.to_s - spec.begin_s - _TOLERANCE_S) / spec.control.interval_s)
        with self._admission.admitted(caller, 1):
            reply = await self._run(caller, stored, "show", steps, watch=watch)
        shown = reply.shown
        assert shown is not None, "that was asked for"  # noqa: S101
        recorded = await self._answers(stored, shown.first_step, steps)
        if not await asyncio.to_thread(_are_equal, recorded, shown.answers):
            _LOG.error("episode_trace_differs", episode_id=episode_id, from_s=watch.from_s)
            raise TraceDiffers(
                "when the episode was repeated to show it, its steps were not answered as they are "
                "on record; neither can be trusted: tell the service's operator"
            )
        return _named(episode_id, tls_id, shown)

    async def score(
        self, caller: Caller, episode_id: str, step: int, request: CandidatesRequest
    ) -> CandidatesResponse:
        """Tries candidates where an episode was before one of its steps.

        Raises:
            InvalidRequest: ``outside_episode``: it has not come to that step.
            EpisodeConflict: ``episode_over``: that is its end.
            GreenforkError: As :meth:`trace`.
        """
        stored = await self._archive.find(caller, episode_id)
        if step > stored.at.steps:
            raise InvalidRequest(
                f"step: the episode has come to step {stored.at.steps}, not to {step}",
                "outside_episode",
            )
        with self._admission.admitted(caller, len(request.items)):
            reply = await self._run(caller, stored, "score", step, candidates=request)
        found = CandidatesResponse.model_validate_json(reply.answer)
        return found.model_copy(update={"episode_id": episode_id})

    async def _run(
        self,
        caller: Caller,
        stored: StoredEpisode,
        verb: EpisodeVerb,
        steps: int,
        watch: Watch | None = None,
        candidates: CandidatesRequest | None = None,
    ) -> EpisodeReply:
        """The reply of a worker that has repeated so many steps."""
        requests = await self._store.requests(stored.episode_id, steps)
        planned = Planned(stored.scenario_id, stored.state_id, stored.spec)
        at = Position.at_begin(stored.spec, stored.begins_at).after_all(requests)
        # An id of its own, so that the episode's process stays where it is.
        call = EpisodeCall(
            secrets.token_hex(16),
            stored.scenario_id,
            verb,
            at,
            watch=watch,
            candidates=candidates,
        )
        simulated_s = steps * stored.spec.control.interval_s
        if candidates is not None:
            simulated_s += candidates.reward.horizon_s * len(candidates.items)

        async def source(with_scenario: bool) -> EpisodeOrigin:
            return await self._origins.origin(planned, requests, with_scenario)

        try:
            return await run_call(self._runner, call, source, caller.calls(), simulated_s)
        finally:
            self._runner.park([call.episode_id])

    async def _answers(self, stored: StoredEpisode, first: int, end: int) -> list[bytes]:
        """The recorded answers before step ``first``, and after each one up to ``end``."""
        episode_id = stored.episode_id
        steps = await self._store.steps(episode_id, max(0, first - 1), end - 1)
        answers = [one.answer for one in steps]
        return answers if first else [await self._store.begin_answer(episode_id), *answers]


def _span(stored: StoredEpisode, from_s: float | None, to_s: float | None) -> Watch:
    """The part of an episode that is asked for.

    Raises:
        InvalidRequest: ``outside_episode`` or ``trace_too_long``.
    """
    begin_s, now_s = stored.spec.begin_s, stored.time_s
    first_s = begin_s if from_s is None else from_s
    last_s = min(now_s, first_s + MAX_EPISODE_TRACED_S) if to_s is None else to_s
    if not begin_s <= first_s < last_s <= now_s:
        raise InvalidRequest(
            f"from_s, to_s: the episode goes from {begin_s:g} s to {now_s:g} s so far, and "
            f"{first_s:g} to {last_s:g} is no part of that",
            "outside_episode",
        )
    if last_s - first_s > MAX_EPISODE_TRACED_S:
        raise InvalidRequest(
            f"from_s, to_s: {last_s - first_s:g} s exceed the limit of {MAX_EPISODE_TRACED_S} s; "
            "ask for one part after the other",
            "trace_too_long",
        )
    return Watch(from_s=first_s, to_s=last_s)


def _are_equal(recorded: Sequence[bytes], repeated: Sequence[bytes]) -> bool:
    pairs = list(zip(recorded, repeated, strict=False))
    return len(recorded) == len(repeated) == len(pairs) and all(_is_equal(*pair) for pair in pairs)


def _is_equal(recorded: bytes, repeated: bytes) -> bool:
    """Whether an answer is the recorded one, whatever the episode is called."""
    known = StepAnswer.model_validate_json(recorded)
    again = StepAnswer.model_validate_json(repeated)
    other: dict[str, object] = {"episode_id": known.episode_id}
    if known.queue_veh is None:  # an earlier release did not count it
        other["queue_veh"] = None
    return again.model_copy(update=other) == known


def _named(episode_id: str, tls_id: str | None, shown: ShownSpan) -> bytes:
    """The frames with what they are a part of, as one JSON object."""
    head = {
        "episode_id": episode_id,
        "tls_id": tls_id,
        "first_step": shown.first_step,
        "steps": len(shown.answers) - 1,
    }
    return json.dumps(head).encode()[:-1] + b"," + shown.frames[1:]
