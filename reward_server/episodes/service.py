"""Episodes as the routes see them, and whoever else is in this process.

In process the service is used as the routes use it::

    episodes = services.episodes                       # of the gateway
    begun = await episodes.create(caller, EpisodeRequest(scenario_id="crossing-0a1b2c3d4e5f"))
    answer = begun.parsed()                            # a StepAnswer; begun.json are its bytes
    while not answer.truncated:
        request = StepRequest(step=answer.step, decisions=decide(answer))
        answer = (await episodes.step(caller, answer.episode_id, request)).parsed()
    result = await episodes.result(caller, answer.episode_id)      # an EpisodeResult

``caller`` is whoever pays, :func:`reward_server.auth.callers.caller_of` of a request; an episode
belongs to the caller that made it. Any number of episodes may be stepped at a time; the steps of
one are done one after the other. All errors are :class:`shared.errors.GreenforkError`; what is
retryable may be asked for again with the same arguments, which never does it twice.
"""

import hashlib
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from reward_server.auth.callers import Caller
from reward_server.episodes.archive import Answered, EpisodeArchive, gone, visible
from reward_server.episodes.entries import Entries, Entry
from reward_server.episodes.origins import EpisodeOrigins, Planned
from reward_server.episodes.records import StoredEpisode, named
from reward_server.episodes.runner import EpisodeRunner, run_call
from reward_server.episodes.states import EpisodeStates
from reward_server.episodes.step_writes import StepWrite
from reward_server.episodes.store import (
    EpisodeStore,
    ForkedEpisode,
    NewEpisode,
    fork_digest,
)
from reward_server.episodes.telemetry import EpisodeTelemetry
from reward_server.scoring.admission import Admission
from shared.errors import (
    EpisodeConflict,
    EpisodeInterrupted,
    GreenforkError,
    InvalidRequest,
    TooManyEpisodes,
)
from shared.wire.episode_views import CandidatesRequest, CandidatesResponse
from shared.wire.episodes import EpisodeRequest, StepRequest
from shared.wire.states import Simulator, StateView
from sim_workers.episodes.position import Position, canonical_step
from sim_workers.pool.episodes.messages import (
    EpisodeCall,
    EpisodeOrigin,
    EpisodeReply,
    EpisodeVerb,
)

__all__ = ["Answered", "EpisodeLimits", "EpisodeService"]

_TOO_MANY_RETRY_AFTER_S = 60


@dataclass(frozen=True)
class EpisodeLimits:
    """What callers may have, and for how long processes are kept."""

    max_episodes: int
    """Unfinished ones of a caller."""
    park_after_s: float
    """An episode that was not stepped for so long has no process."""


class EpisodeService(EpisodeArchive):
    """The episodes of one gateway, or of several on one database.

    Args:
        store: Their records.
        origins: What they begin from.
        states: Keeps their moments.
        runner: Runs them.
        admission: Bounds what is under way.
        limits: How many there may be.
        telemetry: Counts.
        simulator: What computes them.
    """

    def __init__(
        self,
        store: EpisodeStore,
        origins: EpisodeOrigins,
        states: EpisodeStates,
        runner: EpisodeRunner,
        admission: Admission,
        limits: EpisodeLimits,
        telemetry: EpisodeTelemetry,
        simulator: Simulator,
    ) -> None:
        super().__init__(store, runner.is_live, simulator)
        self._origins = origins
        self._states = states
        self._runner = runner
        self._admission = admission
        self._limits = limits
        self._telemetry = telemetry
        self._entries = Entries(runner.park)

    async def create(
        self, caller: Caller, request: EpisodeRequest, request_key: str | None = None
    ) -> Answered:
        """Begins an episode.

        Args:
            caller: Whose it is.
            request: What is asked for.
            request_key: The same key from the same caller is the same episode.

        Raises:
            UnknownScenario, UnknownState: What it is to begin from is not served.
            InvalidRequest: It cannot be begun so; the code says why.
            IdempotencyConflict: The key was used for something else.
            TooManyEpisodes: The caller has as many as it may.
            Overloaded: There is no room just now.
            EpisodeInterrupted: Workers died; ask again.
            LedgerError: The database failed.
        """
        digest = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
        known = await self.sent_before(caller, request_key, digest)
        if known is not None:
            return known
        planned = await self._origins.plan(request)
        await self._refuse_if_too_many(caller)
        at = Position.at_begin(planned.spec, planned.begins_at)
        episode_id = secrets.token_hex(16)
        call = EpisodeCall(episode_id, planned.scenario_id, "begin", at)
        reply = await self._begin(caller, call, planned)
        new = NewEpisode(
            episode_id=episode_id,
            caller=caller.name,
            request_key=request_key,
            digest=digest,
            scenario_id=planned.scenario_id,
            state_id=planned.state_id,
            spec=planned.spec,
            signals=reply.signals,
            at=at,
            time_s=reply.time_s,
            answer=reply.answer,
        )
        stored, is_new = await self._store.create(new)
        if not is_new:  # another request was faster
            self._runner.park([episode_id])
            return await self.same(stored, digest)
        self._entries.add(stored)
        return Answered(reply.answer, episode_id)

    async def step(self, caller: Caller, episode_id: str, request: StepRequest) -> Answered:
        """Carries decisions out and steps one interval. A step that is done is answered again.

        Raises:
            UnknownEpisode: The caller has none of that id.
            EpisodeGone: It was deleted.
            EpisodeConflict: ``step_conflict``, ``step_out_of_order``, ``episode_over``.
            InvalidRequest: ``unknown_signal``.
            Overloaded: There is no room just now.
            EpisodeInterrupted: Workers died; ask again.
            LedgerError: The database failed; ask again.
        """
        entry = await self._entry(caller, episode_id)
        request = canonical_step(request)
        body = request.model_dump_json().encode()
        async with entry.lock:
            if request.step != entry.at.steps or entry.is_over:
                await self._refresh(entry)  # another gateway may have gone on with it
                done = await self._done_before(entry, request, body)
                if done is not None:
                    return done
            with self._admission.admitted(caller, 1):
                return await self._step(caller, entry, request, body)

    async def score(
        self, caller: Caller, episode_id: str, request: CandidatesRequest
    ) -> CandidatesResponse:
        """Tries candidates at the present moment, each by an exact fork. Nothing moves.

        Raises:
            As :meth:`step`.
        """
        entry = await self._entry(caller, episode_id)
        async with entry.lock:
            self._check_open(entry)
            call = self._call(entry, "score", candidates=request)
            simulated_s = request.reward.horizon_s * len(request.items)
            with self._admission.admitted(caller, len(request.items)):
                reply = await self._run(caller, call, _planned(entry.stored), simulated_s)
        return CandidatesResponse.model_validate_json(reply.answer)

    async def fork(
        self, caller: Caller, episode_id: str, request_key: str | None = None
    ) -> Answered:
        """Begins another episode from the present moment of one.

        Raises:
            As :meth:`create` and :meth:`step`.
        """
        entry = await self._entry(caller, episode_id)
        async with entry.lock:
            await self._refresh(entry)
            self._check_open(entry)
            stored = entry.stored
            known = await self.sent_before(caller, request_key, fork_digest(stored))
            if known is not None:
                return known
            await self._refuse_if_too_many(caller)
            fork_id = secrets.token_hex(16)
            answer = named(await self._store.last_answer(stored), fork_id)
            fork = ForkedEpisode(fork_id, caller.name, request_key, answer)
            if not await self._store.fork(stored, fork):
                again = await self.sent_before(caller, request_key, fork_digest(stored))
                assert again is not None, "the key is in use"  # noqa: S101
                return again
            if self._runner.is_live(episode_id):
                call = self._call(entry, "fork", fork_id=fork_id)
                with suppress(GreenforkError):  # it is recorded, and replayed when it is stepped
                    await self._run(caller, call, _planned(stored), 0)
                    await self._entry(caller, fork_id)  # so that it is parked when it is idle
        return Answered(answer, fork_id)

    async def save(self, caller: Caller, episode_id: str) -> tuple[StateView, bool]:
        """Saves the present moment as a verified state, and tells whether it is new.

        Raises:
            InvalidRequest: ``unverified_origin``: it began from a state that nobody can replay.
            StorageFull: There is no room for it.
            GreenforkError: As :meth:`step`.
        """
        entry = await self._entry(caller, episode_id)
        async with entry.lock:
            await self._refresh(entry)
            self._check_open(entry)
            call = self._call(entry, "state")
            with self._admission.admitted(caller, 1):
                reply = await self._run(caller, call, _planned(entry.stored), entry.stored.time_s)
            assert reply.saved is not None, "that was asked for"  # noqa: S101
            return await self._states.keep(entry.stored, reply.saved, caller.name)

    async def delete(self, caller: Caller, episode_id: str) -> None:
        """Deletes an episode and everything that belongs to it; raises as :meth:`show`."""
        await self.find(caller, episode_id)
        await self._store.delete(episode_id)
        self._entries.forget([episode_id])

    def park_idle(self) -> int:
        """Lets the processes go of episodes that nobody has stepped for long; how many."""
        idle = self._entries.idle(self._limits.park_after_s)
        self._entries.forget(idle)
        return len(idle)

    async def _begin(self, caller: Caller, call: EpisodeCall, planned: Planned) -> EpisodeReply:
        try:
            with self._admission.admitted(caller, 1):
                return await self._run(caller, call, planned, 0)
        except EpisodeConflict as exc:  # SUMO refuses
            raise InvalidRequest(exc.message, exc.code) from exc

    async def _step(
        self, caller: Caller, entry: Entry, request: StepRequest, body: bytes
    ) -> Answered:
        began_s = time.perf_counter()
        call = self._call(entry, "step", step=request)
        interval_s = entry.stored.spec.control.interval_s
        reply = await self._run(caller, call, _planned(entry.stored), interval_s)
        write = StepWrite(
            episode_id=call.episode_id,
            at=reply.at,
            time_s=reply.time_s,
            request=body,
            answer=reply.answer,
            actions=reply.actions,
            figures=reply.end.figures if reply.end else None,
            tripinfo=reply.end.tripinfo if reply.end else None,
        )
        if not await self._store.append(write):
            self._runner.park([call.episode_id])
            await self._refresh(entry)
            done = await self._done_before(entry, request, body)
            if done is None:
                raise EpisodeInterrupted("another gateway is at the same step; ask again")
            return done
        entry.at, entry.is_over = reply.at, reply.end is not None
        self._telemetry.count_step(time.perf_counter() - began_s)
        return Answered(reply.answer, call.episode_id)

    async def _run(
        self, caller: Caller, call: EpisodeCall, planned: Planned, simulated_s: float
    ) -> EpisodeReply:
        async def source(with_scenario: bool) -> EpisodeOrigin:
            requests = await self._store.requests(call.episode_id, call.at.steps)
            return await self._origins.origin(planned, requests, with_scenario)

        return await run_call(self._runner, call, source, caller.calls(), simulated_s)

    def _call(
        self,
        entry: Entry,
        verb: EpisodeVerb,
        step: StepRequest | None = None,
        candidates: CandidatesRequest | None = None,
        fork_id: str = "",
    ) -> EpisodeCall:
        stored = entry.stored
        return EpisodeCall(
            *(stored.episode_id, stored.scenario_id, verb, entry.at, step, candidates),
            fork_id=fork_id,
        )

    async def _done_before(
        self, entry: Entry, request: StepRequest, body: bytes
    ) -> Answered | None:
        """The answer of a step that is done; None where it is the one that is due.

        Raises:
            EpisodeConflict: It was done otherwise, is not due, or the episode is over.
        """
        episode_id, due = entry.stored.episode_id, entry.at.steps
        if request.step < due:
            known = await self._store.step(episode_id, request.step)
            if known is not None and known.request == body:
                return Answered(known.answer, episode_id, is_new=False)
            raise EpisodeConflict(
                f"step {request.step} is done already, with another body; the next one is {due}"
            )
        self._check_open(entry)
        if request.step > due:
            raise EpisodeConflict(
                f"step {request.step} is not due; the next one is {due}", "step_out_of_order"
            )
        return None

    def _check_open(self, entry: Entry) -> None:
        """Passes where an episode has not reached its end.

        Raises:
            EpisodeConflict: ``episode_over``.
        """
        if entry.is_over:
            end_s = entry.stored.spec.end_s
            raise EpisodeConflict(
                f"the episode ended at {end_s:g} s; start another one", "episode_over"
            )

    async def _entry(self, caller: Caller, episode_id: str) -> Entry:
        entry = self._entries.get(episode_id)
        if entry is None:
            entry = self._entries.add(await self.find(caller, episode_id))
        visible(entry.stored, caller, episode_id)
        return entry

    async def _refresh(self, entry: Entry) -> None:
        """Looks at the database for where an episode is.

        Raises:
            EpisodeGone: It was deleted.
        """
        episode_id = entry.stored.episode_id
        stored = await self._store.find(episode_id)
        if stored is None or stored.status == "deleted":
            self._entries.forget([episode_id])
            raise gone(episode_id)
        entry.refresh(stored)

    async def _refuse_if_too_many(self, caller: Caller) -> None:
        running = await self._store.running(caller.name)
        if running >= self._limits.max_episodes:
            raise TooManyEpisodes(
                f"you have {running} unfinished episodes, which is the limit; finish or delete "
                "some",
                None,
                _TOO_MANY_RETRY_AFTER_S,
            )


def _planned(stored: StoredEpisode) -> Planned:
    return Planned(stored.scenario_id, stored.state_id, stored.spec)
