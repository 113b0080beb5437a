"""Many episodes that are driven side by side, whatever happens to their gateway."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from reward_client import RetryPolicy, RewardClient
from shared.errors import ServiceError
from shared.wire.episodes import EpisodeDecision, EpisodeRequest, StepRequest
from sim_workers.episodes.figures import trip_elements
from tests.integration.reward_server.gateway_process import GatewayProcess

__all__ = ["Fleet"]


@dataclass
class Fleet:
    """Many episodes that are driven side by side, by coins, while the gateway may be killed."""

    gateway: GatewayProcess
    kill_at: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What is done when so many steps of all are done."""
    done: int = 0
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    clients: AsyncExitStack = field(init=False)
    client: RewardClient = field(init=False)

    async def run(self, requests: list[EpisodeRequest]) -> list[tuple[Any, ...]]:
        """Figures, trips and actions of each."""
        self.whole.set()
        async with AsyncExitStack() as self.clients:
            await self._connect()
            return list(await asyncio.gather(*(self._one(n, r) for n, r in enumerate(requests))))

    async def _connect(self) -> None:
        client = RewardClient(self.gateway.url, retry=RetryPolicy(retries=0))
        self.client = await self.clients.enter_async_context(client)

    async def _one(self, number: int, request: EpisodeRequest) -> tuple[Any, ...]:
        rng = random.Random(number)
        answer = await self._asked(lambda client: client.create_episode(request, f"key-{number}"))
        while not answer.truncated:
            decisions: dict[str, EpisodeDecision] = {
                tls: rng.choice(seen.legal)
                for tls, seen in sorted(answer.signals.items())
                if seen.legal and rng.random() < 0.9
            }
            step = StepRequest(step=answer.step, decisions=decisions)
            episode_id = answer.episode_id
            answer = await self._asked(lambda client: client.step_episode(episode_id, step))  # noqa: B023
            await self._count()
        episode_id = answer.episode_id
        result = await self._asked(lambda client: client.episode_result(episode_id))
        trips = await self._asked(
            lambda client: client.episode_trips(episode_id, "application/xml")
        )
        actions = await self._asked(lambda client: client.episode_actions(episode_id))
        figures = result.model_dump(exclude={"episode_id"})
        return figures, trip_elements(trips), actions

    async def _asked(self, ask: Callable[[RewardClient], Any]) -> Any:  # noqa: ANN401
        while True:
            await self.whole.wait()
            try:
                return await ask(self.client)
            except ServiceError as exc:
                if not exc.retryable:
                    raise
                await asyncio.sleep(0.05)

    async def _count(self) -> None:
        self.done += 1
        if self.done in self.kill_at:
            self.whole.clear()
            await asyncio.to_thread(self.kill_at[self.done])
            await self._connect()
            self.whole.set()
