"""A service of episodes without simulations."""

from dataclasses import dataclass, field

from reward_server.auth.callers import Caller
from reward_server.episodes.archive import Answered
from shared.errors import EpisodeConflict, GreenforkError
from shared.wire.episode_views import EpisodeResult
from shared.wire.episodes import EpisodeRequest, StepRequest
from shared.wire.states import Simulator
from tests.unit.reward_client.environments.made_up import FIGURES, MadeUp, MadeUpEpisode

__all__ = ["SCENARIO", "Desk", "Served"]

SCENARIO = "crossing-0a1b2c3d4e5f"


class Served:
    """One scenario."""

    def only_one(self) -> str:
        """It."""
        return SCENARIO


@dataclass
class Desk:
    """Keeps episodes by id."""

    made_up: MadeUp = field(default_factory=MadeUp)
    fails: GreenforkError | None = None
    """What the next step fails with."""
    deleted: list[str] = field(default_factory=list)
    callers: set[str] = field(default_factory=set)
    _episodes: dict[str, MadeUpEpisode] = field(default_factory=dict)

    async def create(self, caller: Caller, request: EpisodeRequest) -> Answered:
        """Begins one."""
        self.callers.add(caller.name)
        episode = self.made_up.begin(request)
        answer = episode.answer
        self._episodes[answer.episode_id] = episode
        return Answered(answer.model_dump_json().encode(), answer.episode_id)

    async def step(self, caller: Caller, episode_id: str, request: StepRequest) -> Answered:
        """Steps one."""
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure
        episode = self._episodes[episode_id]
        if episode.answer.truncated:
            raise EpisodeConflict("the episode ended", "episode_over")
        return Answered(episode.step(request).model_dump_json().encode(), episode_id)

    async def result(self, caller: Caller, episode_id: str) -> EpisodeResult:
        """What one adds up to."""
        return EpisodeResult(
            **dict(FIGURES),
            episode_id=episode_id,
            scenario_id=SCENARIO,
            seed=1,
            scale=1,
            begin_s=0,
            end_s=30,
            steps=3,
            simulator=Simulator(version="1"),
        )

    async def delete(self, caller: Caller, episode_id: str) -> None:
        """Notes it."""
        self.deleted.append(episode_id)
