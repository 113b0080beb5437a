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

import asyncio
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from reward_server.auth.callers import Caller
from reward_server.episodes.origins import EpisodeOrigins, Planned
from reward_server.episodes.records import StoredEpisode, named
from reward_server.episodes.store import (
    EpisodeStore,
    ForkedEpisode,
    NewEpisode,
    StepWrite,
    fork_digest,
)
from reward_server.episodes.telemetry import EpisodeTelemetry
from reward_server.scoring.admission import Admission
from shared.errors import (
    EpisodeConflict,
    EpisodeGone,
    EpisodeInterrupted,
    GreenforkError,
    IdempotencyConflict,
    InvalidRequest,
    RolloutError,
    TooManyEpisodes,
    UnknownEpisode,
)
from shared.wire.episode_views import (
    CandidatesRequest,
    CandidatesResponse,
    EpisodeDetail,
    EpisodePage,
    EpisodeResult,
    EpisodeStatus,
)
from shared.wire.episodes import EpisodeFigures, EpisodeRequest, StepAnswer, StepRequest
from shared.wire.states import Simulator
from sim_workers.episodes.position import Position, canonical_step
from sim_workers.pool.episodes.dispatch import EpisodeStats
from sim_workers.pool.episodes.messages import (
    EpisodeCall,
    EpisodeOrigin,
    EpisodeReply,
    EpisodeVerb,
)
from sim_workers.pool.episodes.turns import OriginSource
from sim_workers.pool.fair_queue import Flow

__all__ = ["Answered", "EpisodeLimits", "EpisodeRunner", "EpisodeService"]

_EPISODE_ID = re.compile("[0-9a-f]{32}")
_REMEMBERED = 4096
"""Episodes of which this gateway keeps in mind where they are."""
_TOO_MANY_RETRY_AFTER_S = 60


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


@dataclass(frozen=True)
class EpisodeLimits:
    """What callers may have, and for how long processes are kept."""

    max_episodes: int
    """Unfinished ones of a caller."""
    park_after_s: float
    """An episode that was not stepped for so long has no process."""


@dataclass(frozen=True)
class Answered:
    """A step's answer."""

    json: bytes
    """Of a :class:`shared.wire.episodes.StepAnswer`."""
    episode_id: str
    is_new: bool = True
    """Whether it was done now; False where it was asked for again."""

    def parsed(self) -> StepAnswer:
        """As an object."""
        return StepAnswer.model_validate_json(self.json)


@dataclass(eq=False)
class _Entry:
    """What this gateway knows of an episode."""

    stored: StoredEpisode
    at: Position
    is_over: bool
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    used_s: float = 0.0


class EpisodeService:
    """The episodes of one gateway, or of several on one database.

    Args:
        store: Their records.
        origins: What they begin from.
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
        runner: EpisodeRunner,
        admission: Admission,
        limits: EpisodeLimits,
        telemetry: EpisodeTelemetry,
        simulator: Simulator,
    ) -> None:
        self._store = store
        self._origins = origins
        self._runner = runner
        self._admission = admission
        self._limits = limits
        self._telemetry = telemetry
        self._simulator = simulator
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

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
        known = await self._sent_before(caller, request_key, digest)
        if known is not None:
            return known
        planned = await self._origins.plan(request)
        await self._refuse_if_too_many(caller)
        at = Position.at_begin(planned.spec, planned.begins_at)
        episode_id = secrets.token_hex(16)
        call = EpisodeCall(episode_id, planned.scenario_id, "begin", at)
        try:
            with self._admission.admitted(caller, 1):
                reply = await self._run(caller, call, planned, 0)
        except EpisodeConflict as exc:  # SUMO refuses
            raise InvalidRequest(exc.message, exc.code) from exc
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
            return await self._same(stored, digest)
        self._remember(stored)
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
            known = await self._sent_before(caller, request_key, fork_digest(stored))
            if known is not None:
                return known
            await self._refuse_if_too_many(caller)
            fork_id = secrets.token_hex(16)
            answer = named(await self._store.last_answer(stored), fork_id)
            fork = ForkedEpisode(fork_id, caller.name, request_key, answer)
            if not await self._store.fork(stored, fork):
                again = await self._sent_before(caller, request_key, fork_digest(stored))
                assert again is not None, "the key is in use"  # noqa: S101
                return again
            if self._runner.is_live(episode_id):
                call = self._call(entry, "fork", fork_id=fork_id)
                with suppress(GreenforkError):  # it is recorded, and replayed when it is stepped
                    await self._run(caller, call, _planned(stored), 0)
        return Answered(answer, fork_id)

    async def show(self, caller: Caller, episode_id: str) -> EpisodeDetail:
        """Where an episode is.

        Raises:
            UnknownEpisode: The caller has none of that id.
            EpisodeGone: It was deleted.
        """
        stored = await self.find(caller, episode_id)
        answer = StepAnswer.model_validate_json(await self._store.last_answer(stored))
        view = stored.view(self._runner.is_live(episode_id))
        return EpisodeDetail(**dict(view), answer=answer)

    async def page(
        self, caller: Caller, limit: int, offset: int, status: EpisodeStatus | None = None
    ) -> EpisodePage:
        """Some of the caller's episodes, the newest first."""
        found, total = await self._store.page(caller.name, status, limit, offset)
        views = tuple(one.view(self._runner.is_live(one.episode_id)) for one in found)
        return EpisodePage(episodes=views, total=total, limit=limit, offset=offset)

    async def result(self, caller: Caller, episode_id: str) -> EpisodeResult:
        """The figures of a finished episode.

        Raises:
            EpisodeConflict: ``episode_running``: it is not finished.
            UnknownEpisode, EpisodeGone: There is none.
        """
        stored = await self._finished(caller, episode_id)
        text = await self._store.figures(episode_id)
        if text is None:
            raise _gone(episode_id)
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
        """SUMO's own trips of a finished episode; raises as :meth:`result`."""
        await self._finished(caller, episode_id)
        found = await self._store.tripinfo(episode_id)
        if found is None:
            raise _gone(episode_id)
        return found

    async def actions(self, caller: Caller, episode_id: str) -> AsyncIterator[bytes]:
        """What the signals were told so far, JSON lines, piece by piece; raises as :meth:`show`."""
        stored = await self.find(caller, episode_id)
        return self._store.actions(episode_id, stored.at.steps)

    async def delete(self, caller: Caller, episode_id: str) -> None:
        """Deletes an episode and everything that belongs to it; raises as :meth:`show`."""
        await self.find(caller, episode_id)
        await self._store.delete(episode_id)
        self._forget([episode_id])

    async def find(self, caller: Caller, episode_id: str) -> StoredEpisode:
        """An episode, for whoever may see it: its caller, and those who have the scope ``admin``.

        Raises:
            UnknownEpisode: The caller has none of that id.
            EpisodeGone: It was deleted.
        """
        is_id = _EPISODE_ID.fullmatch(episode_id) is not None
        stored = await self._store.find(episode_id) if is_id else None
        return _visible(stored, caller, episode_id)

    def park_idle(self) -> int:
        """Lets the processes go of episodes that nobody has stepped for long; how many."""
        since_s = time.monotonic() - self._limits.park_after_s
        idle = [
            episode_id
            for episode_id, entry in self._entries.items()
            if entry.used_s < since_s and not entry.lock.locked()
        ]
        self._forget(idle)
        return len(idle)

    async def _step(
        self, caller: Caller, entry: _Entry, request: StepRequest, body: bytes
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

        try:
            return await self._runner.run(call, source, caller.calls(), simulated_s)
        except RolloutError as exc:
            if exc.retryable:
                raise EpisodeInterrupted(exc.message, exc.code) from exc
            raise EpisodeConflict(exc.message, exc.code) from exc

    def _call(
        self,
        entry: _Entry,
        verb: EpisodeVerb,
        step: StepRequest | None = None,
        candidates: CandidatesRequest | None = None,
        fork_id: str = "",
    ) -> EpisodeCall:
        stored = entry.stored
        return EpisodeCall(
            stored.episode_id, stored.scenario_id, verb, entry.at, step, candidates, fork_id
        )

    async def _done_before(
        self, entry: _Entry, request: StepRequest, body: bytes
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

    def _check_open(self, entry: _Entry) -> None:
        """Passes where an episode has not reached its end.

        Raises:
            EpisodeConflict: ``episode_over``.
        """
        if entry.is_over:
            end_s = entry.stored.spec.end_s
            raise EpisodeConflict(
                f"the episode ended at {end_s:g} s; start another one", "episode_over"
            )

    async def _entry(self, caller: Caller, episode_id: str) -> _Entry:
        entry = self._entries.get(episode_id)
        if entry is None:
            entry = self._remember(await self.find(caller, episode_id))
        _visible(entry.stored, caller, episode_id)
        self._entries.move_to_end(episode_id)
        entry.used_s = time.monotonic()
        return entry

    async def _refresh(self, entry: _Entry) -> None:
        """Looks at the database for where an episode is.

        Raises:
            EpisodeGone: It was deleted.
            UnknownEpisode: It was deleted long ago.
        """
        episode_id = entry.stored.episode_id
        stored = await self._store.find(episode_id)
        if stored is None or stored.status == "deleted":
            self._forget([episode_id])
            raise _gone(episode_id)
        entry.stored, entry.at = stored, stored.at
        entry.is_over = stored.status == "finished"

    def _remember(self, stored: StoredEpisode) -> _Entry:
        entry = _Entry(stored, stored.at, stored.status == "finished", used_s=time.monotonic())
        entry = self._entries.setdefault(stored.episode_id, entry)
        while len(self._entries) > _REMEMBERED:
            self._forget([next(iter(self._entries))])
        return entry

    def _forget(self, episode_ids: list[str]) -> None:
        for episode_id in episode_ids:
            self._entries.pop(episode_id, None)
        self._runner.park(episode_ids)

    async def _finished(self, caller: Caller, episode_id: str) -> StoredEpisode:
        stored = await self.find(caller, episode_id)
        if stored.status != "finished":
            raise EpisodeConflict(
                f"the episode is at {stored.time_s:g} s and ends at {stored.spec.end_s:g} s; step "
                "it to its end first",
                "episode_running",
            )
        return stored

    async def _sent_before(
        self, caller: Caller, request_key: str | None, digest: str
    ) -> Answered | None:
        if request_key is None:
            return None
        known = await self._store.find_sent(caller.name, request_key)
        return None if known is None else await self._same(known, digest)

    async def _same(self, known: StoredEpisode, digest: str) -> Answered:
        """What the creation of an episode was answered, if what is sent now is the same."""
        if known.digest != digest:
            raise IdempotencyConflict(
                "the Idempotency-Key was already used for another episode; use a new one"
            )
        answer = await self._store.begin_answer(known.episode_id)
        return Answered(answer, known.episode_id, is_new=False)

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


def _visible(stored: StoredEpisode | None, caller: Caller, episode_id: str) -> StoredEpisode:
    if stored is None or (stored.caller != caller.name and "admin" not in caller.scopes):
        raise UnknownEpisode(f"there is no episode {episode_id[:80]!r}")
    if stored.status == "deleted":
        raise _gone(episode_id)
    return stored


def _gone(episode_id: str) -> EpisodeGone:
    return EpisodeGone(f"episode {episode_id} was deleted")
