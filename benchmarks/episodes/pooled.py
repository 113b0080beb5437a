"""Episodes on the pool's workers, with neither a gateway nor a record."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.wire.episodes import PRESETS, EpisodeRequest, StepAnswer, StepRequest
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.pool.episodes.messages import (
    EpisodeCall,
    EpisodeOrigin,
    EpisodeReply,
    EpisodeVerb,
)
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.scenarios.scenario import Scenario
from sim_workers.states.store import StateStore

__all__ = ["PooledEpisode", "episode_pool", "in_turn"]

_READY_LIMIT_S = 60
_FLOW = Flow("bench")


class PooledEpisode:
    """One episode under RESCO's rules, which is stepped through the pool.

    Args:
        pool: Has the workers.
        scenario: What it begins from.
        seed: Its seed.
    """

    def __init__(self, pool: RolloutPool, scenario: Scenario, seed: int) -> None:
        self._pool = pool
        self._files = scenario.files
        self._scenario_id = scenario.scenario_id
        wanted = EpisodeRequest(scenario_id=self._scenario_id, seed=seed, control=PRESETS["resco"])
        self._spec = EpisodeSpec.of(wanted, seed, scenario.begin_s, scenario.end_s)
        self._at = Position.at_begin(self._spec, self._scenario_id)
        self._done: list[StepRequest] = []
        self._answer: StepAnswer | None = None

    async def begin(self) -> None:
        """Opens the simulation."""
        reply = await self._call("begin", None)
        self._answer = StepAnswer.model_validate_json(reply.answer)

    async def step(self) -> StepAnswer:
        """One interval, with greens in turn."""
        assert self._answer is not None, "it has begun"  # noqa: S101
        request = in_turn(self._answer)
        reply = await self._call("step", request)
        self._at = reply.at
        self._done.append(request)
        self._answer = StepAnswer.model_validate_json(reply.answer)
        return self._answer

    async def _call(self, verb: EpisodeVerb, request: StepRequest | None) -> EpisodeReply:
        name = f"episode-{self._spec.seed}"
        call = EpisodeCall(name, self._scenario_id, verb, self._at, request)
        interval_s = self._spec.control.interval_s
        return await self._pool.episodes.run(call, self._origin, _FLOW, interval_s)

    async def _origin(self, with_scenario: bool) -> EpisodeOrigin:
        files = self._files if with_scenario else None
        return EpisodeOrigin(self._spec, tuple(self._done), self._scenario_id, files)


def in_turn(answer: StepAnswer) -> StepRequest:
    """The next step: each signal shows its legal greens one after the other, two steps each.

    With greens that go on for ever, a network would be jammed within minutes.
    """
    decisions = {
        tls_id: seen.legal[answer.step // 2 % len(seen.legal)]
        for tls_id, seen in answer.signals.items()
        if seen.legal
    }
    return StepRequest(step=answer.step, decisions=decisions)


@asynccontextmanager
async def episode_pool(workers: int) -> AsyncIterator[RolloutPool]:
    """A pool with workers that are ready."""
    pool = RolloutPool(StateStore([]), PoolSettings(workers, None, 60, 8, 4000))
    try:
        await pool.start()
        async with asyncio.timeout(_READY_LIMIT_S):
            while pool.stats().workers < workers:  # noqa: ASYNC110  once, before anything is timed
                await asyncio.sleep(0.05)
        yield pool
    finally:
        await pool.close()
