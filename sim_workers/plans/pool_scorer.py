"""The rewards of plans, by rollouts on the pool of this machine, without a service."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.dataset import Row
from shared.decisions import Plan
from shared.legality import check_legality
from shared.rewards import Metrics, RewardSpec, needs_reference, reward_of
from sim_workers.pool.pool import RolloutPool
from sim_workers.pool.rollout import make_rollout
from sim_workers.states.store import StateStore

__all__ = ["PoolPlanScorer"]


@dataclass(eq=False)
class PoolPlanScorer:
    """Scores plans on a pool; rolls out the unchanged program once per decision point."""

    pool: RolloutPool
    """A pool that has been started."""
    store: StateStore
    """The states of the rows."""
    reward: RewardSpec
    """The reward to compute."""
    timeout_s: float
    """Time limit for one rollout in seconds, including waiting."""
    _references: dict[tuple[str, str], asyncio.Task[Metrics]] = field(default_factory=dict)

    async def score(self, row: Row, plans: Sequence[Plan]) -> list[float]:
        """The reward of each plan, in order.

        Raises:
            UnknownState: The dataset has no such state.
            InvalidDecision: No plan is legal there.
            RolloutError: A rollout failed.
        """
        state = self.store.get(row.state_id)
        signal = state.signal(row.tls_id)
        for plan in plans:
            check_legality(plan, signal, state.record.signals[row.tls_id])
        reference = await self._reference(row) if needs_reference(self.reward) else None
        found = await asyncio.gather(*(self._rolled(row, plan) for plan in plans))
        return [reward_of(self.reward, metrics, reference) for metrics in found]

    async def _reference(self, row: Row) -> Metrics:
        place = (row.state_id, row.tls_id)
        if place not in self._references:
            self._references[place] = asyncio.ensure_future(self._rolled(row, None))
        return await self._references[place]

    async def _rolled(self, row: Row, plan: Plan | None) -> Metrics:
        state, horizon_s = self.store.get(row.state_id), self.reward.horizon_s
        rollout = make_rollout(state, {row.tls_id: plan}, horizon_s)
        outcome = await self.pool.run(rollout.model_copy(update={"limit_s": self.timeout_s}))
        return outcome.unwrap()
