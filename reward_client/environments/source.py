"""Where the environments get episodes from, and what they ask for."""

from collections.abc import Mapping
from typing import Protocol

from shared.errors import ConfigError
from shared.validation import invalid_as_request_errors
from shared.wire.episodes import EpisodeFigures, EpisodeRequest, StepAnswer, StepRequest

__all__ = ["EpisodeSource", "RunningEpisode", "request_of"]


class RunningEpisode(Protocol):
    """An episode that has been begun."""

    @property
    def answer(self) -> StepAnswer:
        """The answer to its creation, and then to its last step."""

    def step(self, request: StepRequest) -> StepAnswer:
        """Carries decisions out and steps one interval."""

    def figures(self) -> EpisodeFigures:
        """What it adds up to, once its end is reached."""

    def close(self) -> None:
        """Gives it up. Harmless when repeated."""


class EpisodeSource(Protocol):
    """Begins episodes. Threads may share it."""

    @property
    def scenario_id(self) -> str | None:
        """The scenario where none is asked for; None: one must be asked for."""

    def begin(self, request: EpisodeRequest) -> RunningEpisode:
        """Begins an episode."""


def request_of(
    source: EpisodeSource, asked: Mapping[str, object], seed: int | None = None
) -> EpisodeRequest:
    """What is asked for, with the features of each signal.

    Args:
        source: Knows the scenario where none is asked for.
        asked: Fields of :class:`EpisodeRequest`.
        seed: SUMO's ``--seed``, unless the episode begins from a state, which has its own, or one
            is asked for.

    Raises:
        ConfigError: ``bad_config``: there is no scenario.
        InvalidRequest: A field is wrong.
    """
    given = dict(asked)
    if given.get("state_id") is None:
        given.setdefault("scenario_id", source.scenario_id)
        if given["scenario_id"] is None:
            raise ConfigError("name what to run: scenario_id or state_id")
        if seed is not None:
            given.setdefault("seed", seed)
    with invalid_as_request_errors():
        request = EpisodeRequest.model_validate(given)
    if "features" in request.observe:
        return request
    return request.model_copy(update={"observe": (*request.observe, "features")})
