"""Asks the reward service about decisions, where a dataset does not say enough."""

import asyncio
from collections.abc import Callable, Sequence

from reward_client import RewardClient
from shared.decisions import Decision
from shared.errors import ServiceRefused
from shared.rewards import Metrics, RewardSpec, TermName
from shared.wire.error_info import ErrorInfo
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse
from shared.wire.scoring import ScoreItem, ScoreResult
from trainer.evaluation.choices import Progress
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Valued, Worth

__all__ = ["OutcomeService"]

_AT_A_TIME = 8
_TIMEOUT_S = 300.0


class OutcomeService:
    """Looks up what decisions are worth, at a reward URL.

    Args:
        connect: Makes a client; called once per method call, on the event loop that uses it.
        reward: The reward to ask for.
        horizon_s: Length of the rollouts, seconds of simulated time.
    """

    def __init__(
        self, connect: Callable[[], RewardClient], reward: TermName, horizon_s: int
    ) -> None:
        self._connect = connect
        self._spec = RewardSpec(name=reward, horizon_s=horizon_s)
        self._reward: TermName = reward

    def worths(
        self, points: Sequence[DecisionPoint], progress: Progress
    ) -> list[Worth | ErrorInfo]:
        """What every legal decision at each point is worth, in order, or why it is not known.

        Raises:
            ServiceUnreachable: Nothing answers.
        """
        return asyncio.run(self._worths(points, progress))

    def scored(self, asked: Sequence[tuple[DecisionPoint, Decision]]) -> list[ScoreResult]:
        """The results of single decisions, in order.

        Raises:
            ServiceUnreachable: Nothing answers.
            ServiceRefused: The service refuses the request.
        """
        return asyncio.run(self._scored(asked)) if asked else []

    async def _worths(
        self, points: Sequence[DecisionPoint], progress: Progress
    ) -> list[Worth | ErrorInfo]:
        slots, done = asyncio.Semaphore(_AT_A_TIME), 0

        async def ask(client: RewardClient, point: DecisionPoint) -> Worth | ErrorInfo:
            nonlocal done
            async with slots:
                found = await self._worth(client, point)
            done += 1
            progress("outcomes", done, len(points))
            return found

        async with self._connect() as client:
            first = [await ask(client, point) for point in points[:1]]  # fails before all others do
            return first + await asyncio.gather(*(ask(client, point) for point in points[1:]))

    async def _worth(self, client: RewardClient, point: DecisionPoint) -> Worth | ErrorInfo:
        query = OutcomesQuery(
            tls_id=point.place.tls_id,
            kind=point.place.decision_kind,
            reward=self._reward,
            horizon_s=self._spec.horizon_s,
            extend_s=point.extend_s,
            timeout_s=_TIMEOUT_S,
        )
        try:
            return _read(await client.outcomes(point.place.state_id, query))
        except ServiceRefused as exc:
            return ErrorInfo.of(exc)

    async def _scored(self, asked: Sequence[tuple[DecisionPoint, Decision]]) -> list[ScoreResult]:
        items = [
            ScoreItem(state_id=point.place.state_id, tls_id=point.place.tls_id, decision=decision)
            for point, decision in asked
        ]
        async with self._connect() as client:
            response = await client.score(items, self._spec, _TIMEOUT_S)
        return list(response.results)


def _read(response: OutcomesResponse) -> Worth | ErrorInfo:
    """All outcomes, or the error of the first missing one, which might have been the best."""
    valued = []
    for one in response.outcomes:
        if one.reward is None or not isinstance(one.metrics, Metrics):
            return one.error or ErrorInfo(code="no_reward", message="no reason", retryable=False)
        valued.append(Valued(one.decision, one.reward, one.metrics.queue_veh))
    if not valued:
        return ErrorInfo(code="nothing_to_decide", message="no legal decision", retryable=False)
    return Worth(tuple(valued))
