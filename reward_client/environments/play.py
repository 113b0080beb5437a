"""One episode after the other, as an environment plays them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from reward_client.environments.encoding import SignalCode, rewards_of
from reward_client.environments.source import EpisodeSource, RunningEpisode, request_of
from shared.errors import ConfigError
from shared.wire.episodes import EpisodeControl, EpisodeRequest, StepAnswer, StepRequest

__all__ = ["OPTION", "Play"]

OPTION = "episode"
"""The key of ``options`` that is ours."""
_SEEDS = 2**31
_OF_A_RUN = frozenset({"scenario_id", "seed", "scale", "begin_s"})
"""What a state has of its own."""


class Play:
    """Begins episodes, steps them and gives them up.

    Args:
        source: Begins episodes.
        asked: Fields of :class:`shared.wire.episodes.EpisodeRequest`.
    """

    def __init__(self, source: EpisodeSource, asked: Mapping[str, object]) -> None:
        self._source = source
        self._asked = dict(asked)
        self._running: RunningEpisode | None = None
        self._control: EpisodeControl | None = None

    @cached_property
    def codes(self) -> dict[str, SignalCode]:
        """Each signal's, by id, sorted. Begins an episode if there is none yet."""
        if self._running is None:
            self._begin(request_of(self._source, self._asked))
        return self._codes()

    @property
    def answer(self) -> StepAnswer:
        """The last one.

        Raises:
            ConfigError: There is no episode.
        """
        if self._running is None:
            raise ConfigError("there is no episode: call reset() first")
        return self._running.answer

    def reset(
        self, seed: int | None, rng: np.random.Generator, options: Mapping[str, Any] | None
    ) -> StepAnswer:
        """Begins the next episode.

        Args:
            seed: SUMO's ``--seed``; None: the generator chooses one.
            rng: The environment's.
            options: ``{"episode": {…}}`` has fields that differ this time; all else is left to
                others, such as wrappers.

        Raises:
            ConfigError: It has other signals, or other greens, than the first one.
        """
        codes, given = self.codes, dict((options or {}).get(OPTION, {}))
        base = self._asked
        if given.get("state_id") is not None:
            base = {key: value for key, value in base.items() if key not in _OF_A_RUN}
        chosen = int(rng.integers(_SEEDS)) if seed is None else seed % _SEEDS
        self._begin(request_of(self._source, base | given, chosen))
        if self._codes() != codes:
            self.close()
            raise ConfigError(
                "this episode has other signals, phases or decisions than the environment's first "
                "one; make an environment for each"
            )
        return self.answer

    def step(self, actions: Mapping[str, int]) -> tuple[StepAnswer, dict[str, float]]:
        """Carries actions out, by signal; the answer, and each signal's reward.

        Raises:
            RewardsMissing: A reward is undefined.
        """
        before = self.answer
        decided = {
            tls_id: self.codes[tls_id].decision(int(action), before.signals[tls_id])
            for tls_id, action in actions.items()
        }
        decisions = {tls_id: one for tls_id, one in decided.items() if one is not None}
        assert self._running is not None, "there is an answer"  # noqa: S101
        answer = self._running.step(StepRequest(step=before.step, decisions=decisions))
        return answer, rewards_of(answer)

    def info(self, tls_id: str) -> dict[str, Any]:
        """What is known of a signal beside its features: new data each time."""
        answer = self.answer
        invalid = answer.invalid.get(tls_id)
        found: dict[str, Any] = {
            "action_mask": self.codes[tls_id].mask(answer.signals[tls_id]),
            "time_s": answer.time_s,
            "is_kept": tls_id in answer.kept,
            "invalid": invalid.code if invalid else "",
        }
        prompt = answer.signals[tls_id].prompt
        if prompt is not None:
            found["prompt"] = [message.model_dump() for message in prompt]
        if answer.truncated:
            assert self._running is not None, "there is an answer"  # noqa: S101
            found["figures"] = self._running.figures().model_dump()
        return found

    def close(self) -> None:
        """Gives the episode up."""
        if self._running is not None:
            self._running.close()
        self._running = None

    def _begin(self, request: EpisodeRequest) -> None:
        self.close()
        self._running, self._control = self._source.begin(request), request.control

    def _codes(self) -> dict[str, SignalCode]:
        """Those of the episode that runs."""
        assert self._control is not None, "one has begun"  # noqa: S101
        signals = sorted(self.answer.signals.items())
        return {tls_id: SignalCode.of(seen, self._control) for tls_id, seen in signals}
