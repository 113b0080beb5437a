"""The signals of a network as a PettingZoo environment."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from reward_client.environments.play import Play
from reward_client.environments.source import EpisodeSource

__all__ = ["SignalsParallelEnv"]

Observations = dict[str, NDArray[np.float32]]
Infos = dict[str, dict[str, Any]]


class SignalsParallelEnv(ParallelEnv):  # type: ignore[misc]  # not needed to check types
    """An hour at the signals of a network, each an agent under its id.

    Observations, actions, infos and the keywords of ``reset`` are those of
    :class:`reward_client.environments.single.SignalEnv`; rewards are each signal's own. An agent
    without an action goes on as it is. All agents leave together, at the episode's end.

    Args:
        source: Begins episodes.
        asked: Fields of :class:`shared.wire.episodes.EpisodeRequest`; ``signals`` names those that
            are steered, by default all that have something to decide.
    """

    metadata: dict[str, Any] = {"name": "greenfork_signals_v0", "render_modes": []}  # noqa: RUF012

    def __init__(self, source: EpisodeSource, **asked: object) -> None:
        self._play = Play(source, asked)
        self._rng = np.random.default_rng()
        self._spaces: dict[str, tuple[Box, Discrete]] = {}
        self.agents: list[str] = []

    @property
    def possible_agents(self) -> list[str]:
        """The steered signals, by id."""
        return list(self._play.codes)

    def observation_space(self, agent: str) -> Box:
        """The bounds of an agent's features."""
        return self._spaces_of(agent)[0]

    def action_space(self, agent: str) -> Discrete:
        """An agent's greens, or to end and to extend."""
        return self._spaces_of(agent)[1]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Begins an episode."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._play.reset(seed, self._rng, options)
        self.agents = self.possible_agents
        return self._seen(), self._infos()

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Carries actions out and goes on to the next decision.

        Raises:
            RewardsMissing: A reward is undefined.
            GreenforkError: The episode could not be stepped.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        answer, rewards = self._play.step(actions)
        seen, infos = self._seen(), self._infos()
        terminated = dict.fromkeys(self.agents, False)
        truncated = dict.fromkeys(self.agents, answer.truncated)
        if answer.truncated:
            self.agents = []
        return seen, rewards, terminated, truncated, infos

    def close(self) -> None:
        """Gives the episode up."""
        self._play.close()

    def _seen(self) -> Observations:
        codes, signals = self._play.codes, self._play.answer.signals
        return {agent: codes[agent].vector(signals[agent]) for agent in self.agents}

    def _infos(self) -> Infos:
        return {agent: self._play.info(agent) for agent in self.agents}

    def _spaces_of(self, agent: str) -> tuple[Box, Discrete]:
        if agent not in self._spaces:
            code = self._play.codes[agent]
            self._spaces[agent] = (
                Box(0.0, code.high, dtype=np.float32),
                Discrete(code.actions),
            )
        return self._spaces[agent]
