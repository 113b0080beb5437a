"""One signal as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from reward_client.environments.encoding import SignalCode
from reward_client.environments.play import Play
from reward_client.environments.source import EpisodeSource
from shared.errors import ConfigError

__all__ = ["SignalEnv"]

Observation = NDArray[np.float32]
Info = dict[str, Any]


class SignalEnv(gymnasium.Env):  # type: ignore[misc]  # Gymnasium is not needed to check types
    """An hour at one signal.

    ============== =========================================================================
    observation    the signal's features, a float32 vector; the table is in
                   ``docs/closed-loop.md``
    action         index of a green, or under ``extend`` 0 to end the green, 1 to extend it
    reward         the signal's, for the seconds of the step
    ``truncated``  the episode's end is reached
    ``terminated`` never
    ``info``       ``action_mask`` (int8), ``time_s``, ``is_kept``, ``invalid`` (a code, or
                   empty), at the end ``figures``; ``prompt`` where that is observed
    ============== =========================================================================

    ``reset(seed=7)`` runs SUMO with ``--seed 7``; without a seed the environment's generator
    chooses one. ``reset(options={"episode": {"state_id": …}})`` begins from a saved state, which
    has its own seed; other fields of the episode may stand there, too.

    The spaces are known from an episode: whoever looks at them first has one begun.

    Args:
        source: Begins episodes.
        asked: Fields of :class:`shared.wire.episodes.EpisodeRequest`.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  as Gymnasium wants it

    def __init__(self, source: EpisodeSource, **asked: object) -> None:
        self._play = Play(source, asked)
        self._spaces: tuple[Box, Discrete] | None = None

    @property
    def observation_space(self) -> Box:
        """The features' bounds."""
        return self._known_spaces()[0]

    @property
    def action_space(self) -> Discrete:
        """The greens, or to end and to extend."""
        return self._known_spaces()[1]

    @property
    def tls_id(self) -> str:
        """The signal.

        Raises:
            ConfigError: There are several, or none.
        """
        signals = list(self._play.codes)
        if len(signals) != 1:
            raise ConfigError(
                f"this episode steers {len(signals)} signals ({', '.join(signals[:5])}): name one "
                "with signals=[…], or use SignalsParallelEnv"
            )
        return signals[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begins an episode."""
        super().reset(seed=seed)
        tls_id = self.tls_id
        answer = self._play.reset(seed, self.np_random, options)
        return self._code.vector(answer.signals[tls_id]), self._play.info(tls_id)

    def step(self, action: int) -> tuple[Observation, float, bool, bool, Info]:
        """Carries an action out and goes on to the next decision.

        Raises:
            RewardsMissing: The reward is undefined.
            GreenforkError: The episode could not be stepped.
        """
        tls_id = self.tls_id
        answer, rewards = self._play.step({tls_id: action})
        seen = self._code.vector(answer.signals[tls_id])
        return seen, rewards[tls_id], False, answer.truncated, self._play.info(tls_id)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, under the name that sb3-contrib's MaskablePPO asks for."""
        mask = self._code.mask(self._play.answer.signals[self.tls_id])
        return mask.astype(np.bool_)

    def close(self) -> None:
        """Gives the episode up."""
        self._play.close()

    @property
    def _code(self) -> SignalCode:
        return self._play.codes[self.tls_id]

    def _known_spaces(self) -> tuple[Box, Discrete]:
        if self._spaces is None:
            code = self._code
            self._spaces = Box(0.0, code.high, dtype=np.float32), Discrete(code.actions)
        return self._spaces
