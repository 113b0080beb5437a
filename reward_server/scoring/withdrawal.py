"""Withdrawing outcomes of restored rollouts when one of their worker's checks fails.

These outcomes may be right, because a check fails at a single rollout, but nobody can be sure. They
are removed from the ledger and the response cache, computed again by forks, and named in the log.
Answers that were already sent, and results of bulk jobs, cannot be withdrawn: the log says which
states they concern.
"""

import asyncio
from collections.abc import Callable

import structlog

from reward_server.scoring.response_cache import ResponseCache
from reward_server.scoring.single_flight import SingleFlight
from reward_server.storage.ledger import Ledger
from shared.errors import GreenforkError
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.pool.fair_queue import Flow

__all__ = ["Withdrawal"]

_FLOW = Flow("withdrawn")
_LOG = structlog.get_logger("reward_server")


class Withdrawal:
    """Withdraws outcomes.

    Args:
        single_flight: Computes them again.
        ledger: Where they are recorded.
        hot: The cache of answers, which may be made from them.
        key_of: The key of a rollout's outcome.
        limit_s: Time limit of each when it is computed again, in seconds.
    """

    def __init__(
        self,
        single_flight: SingleFlight,
        ledger: Ledger,
        hot: ResponseCache,
        key_of: Callable[[Rollout], str],
        limit_s: float,
    ) -> None:
        self._single_flight = single_flight
        self._ledger = ledger
        self._hot = hot
        self._key_of = key_of
        self._limit_s = limit_s
        self._tasks: set[asyncio.Task[None]] = set()

    def heed(self, outcome: RolloutOutcome) -> None:
        """Withdraws the outcomes that a new outcome casts doubt on."""
        if outcome.doubtful:
            task = asyncio.create_task(self._withdraw(outcome.doubtful))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOG.error("outcomes_not_withdrawn", exc_info=error)

    async def close(self) -> None:
        """Returns when all withdrawals are complete."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _withdraw(self, doubtful: tuple[Rollout, ...]) -> None:
        rollouts = {self._key_of(r): r.model_copy(update={"is_forked": True}) for r in doubtful}
        states = sorted({rollout.state_id for rollout in doubtful})
        _LOG.error("outcomes_withdrawn", states=states, keys=sorted(rollouts))
        try:
            await self._single_flight.ended(rollouts)
            await self._ledger.withdraw(list(rollouts))
            self._hot.clear()
            deadline = asyncio.get_running_loop().time() + self._limit_s * len(rollouts)
            outcomes = await self._single_flight.fetch(rollouts, deadline, _FLOW, "withdrawn")
        except GreenforkError as exc:
            _LOG.error("outcomes_not_withdrawn", reason=exc.message, keys=sorted(rollouts))
            return
        failed = sorted(key for key, outcome in outcomes.items() if outcome.error is not None)
        _LOG.info("outcomes_done_again", done=len(outcomes) - len(failed), failed=failed)
