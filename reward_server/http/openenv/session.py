"""One client's session: an episode after the other, each frame answered in turn."""

import json
from contextlib import suppress
from typing import Any, Protocol

from pydantic import JsonValue, TypeAdapter, ValidationError

from reward_server.auth.callers import Caller
from reward_server.episodes.archive import Answered
from reward_server.http.openenv.actions import completions_of
from reward_server.http.openenv.messages import (
    Close,
    Frame,
    Metadata,
    Observation,
    Reset,
    State,
    Step,
    error_frame,
    observation_frame,
    state_frame,
)
from shared.errors import (
    EpisodeConflict,
    GreenforkError,
    InvalidRequest,
    RequestError,
    RewardsMissing,
)
from shared.wire.episode_views import EpisodeResult
from shared.wire.episodes import EpisodeRequest, StepAnswer, StepRequest

__all__ = ["Episodes", "OpenEnvSession"]

_FRAME: TypeAdapter[Frame] = TypeAdapter(Frame)
_TYPES = ("reset", "step", "state", "close")
_MAX_NAME_CHARS = 256
_MAX_ERRORS = 10

Json = dict[str, Any]


class Episodes(Protocol):
    """What a session needs of the service of episodes."""

    async def create(self, caller: Caller, request: EpisodeRequest) -> Answered:
        """Begins an episode."""

    async def step(self, caller: Caller, episode_id: str, request: StepRequest) -> Answered:
        """Carries decisions out and steps one interval."""

    async def result(self, caller: Caller, episode_id: str) -> EpisodeResult:
        """The figures of a finished episode."""

    async def delete(self, caller: Caller, episode_id: str) -> None:
        """Deletes an episode."""


class OpenEnvSession:
    """Answers frames.

    An episode that is given up before its end is deleted, so that none is left behind; a finished
    one is kept, as any other.

    Args:
        episodes: The service.
        caller: Who pays, and whose the episodes are.
        scenarios: The scenarios that are served; where there is one, ``reset`` need not name it.
    """

    def __init__(self, episodes: Episodes, caller: Caller, scenarios: "Scenarios") -> None:
        self._episodes = episodes
        self._caller = caller
        self._scenarios = scenarios
        self._answer: StepAnswer | None = None
        self._name: str | None = None
        self.resets = 0
        """Episodes that were begun."""
        self.steps = 0
        """Steps that were done, in all of them."""

    async def answer(self, text: str) -> Json | None:
        """What a frame is answered; None where it ends the session."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as exc:
            return error_frame("INVALID_JSON", f"not JSON: {exc}")
        if not isinstance(message, dict) or message.get("type") not in _TYPES:
            return error_frame(
                "UNKNOWN_TYPE", f"send an object whose type is one of {', '.join(_TYPES)}"
            )
        try:
            frame = _FRAME.validate_python(message)
            return None if isinstance(frame, Close) else await self._answered(frame)
        except ValidationError as exc:
            return _wrong(exc)
        except InvalidRequest as exc:
            return error_frame("VALIDATION_ERROR", _told(exc), exc)
        except GreenforkError as exc:
            return error_frame("EXECUTION_ERROR", _told(exc), exc)

    async def close(self) -> None:
        """Gives the episode up."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.truncated:
            with suppress(GreenforkError):  # housekeeping deletes it later
                await self._episodes.delete(self._caller, answer.episode_id)

    async def _answered(self, frame: Frame) -> Json:
        match frame:
            case Reset():
                return await self._reset(frame.data)
            case Step():
                return await self._step(frame.data)
            case _:
                return state_frame(self._state())

    async def _reset(self, data: dict[str, JsonValue]) -> Json:
        asked = dict(data)
        if "problem_id" in asked or asked.get("domain", "traffic") != "traffic":
            raise InvalidRequest(
                "episodes over OpenEnv's protocol are of traffic; an answer to a problem of "
                "another domain is scored at once: send it to POST /v1/score",
                "traffic_only",
            )
        name = asked.pop("episode_id", None)
        if not (name is None or (isinstance(name, str) and 0 < len(name) <= _MAX_NAME_CHARS)):
            raise InvalidRequest(f"episode_id is a text of 1 to {_MAX_NAME_CHARS} characters")
        if asked.get("scenario_id") is None and asked.get("state_id") is None:
            asked["scenario_id"] = self._scenarios.only_one()
        asked.setdefault("observe", ["prompt"])
        request = EpisodeRequest.model_validate(asked)
        await self.close()
        begun = (await self._episodes.create(self._caller, request)).parsed()
        self._answer, self._name = begun, name
        self.resets += 1
        return observation_frame(_seen(begun, {}, None), None, done=False)

    async def _step(self, data: dict[str, JsonValue]) -> Json:
        before = self._answer
        if before is None:
            raise EpisodeConflict("there is no episode yet: reset first", "reset_first")
        completions = completions_of(data, before.signals)
        request = StepRequest(step=before.step, completions=completions)
        done = await self._episodes.step(self._caller, before.episode_id, request)
        self._answer = answer = done.parsed()
        self.steps += 1
        rewards = {tls_id: one for tls_id, one in answer.rewards.items() if one is not None}
        if answer.reward is None or len(rewards) < len(answer.rewards):
            raise RewardsMissing(
                f"step {before.step} was done, and its reward is undefined: no vehicle was there "
                "to measure; the episode goes on with the next step"
            )
        figures = None
        if answer.truncated:
            figures = await self._episodes.result(self._caller, answer.episode_id)
        return observation_frame(_seen(answer, rewards, figures), answer.reward, answer.truncated)

    def _state(self) -> State:
        answer = self._answer
        if answer is None:
            return State()
        return State(
            episode_id=self._name or answer.episode_id,
            step_count=answer.step,
            greenfork_episode_id=answer.episode_id,
            time_s=answer.time_s,
            done=answer.truncated,
        )


class Scenarios(Protocol):
    """Knows what is served."""

    def only_one(self) -> str:
        """The scenario's id.

        Raises:
            InvalidRequest: There are several, or none.
        """


def _seen(
    answer: StepAnswer, rewards: dict[str, float], figures: EpisodeResult | None
) -> Observation:
    metadata = Metadata(episode_id=answer.episode_id, step=answer.step, figures=figures)
    return Observation(
        time_s=answer.time_s,
        signals=answer.signals,
        rewards=rewards,
        invalid=answer.invalid,
        kept=answer.kept,
        metadata=metadata,
    )


def _told(error: GreenforkError) -> str:
    """The message with the code: clients show nothing else of an error."""
    hint = "" if isinstance(error, RequestError) or not error.retryable else "; send it again"
    return f"{error.message}{hint} [{error.code}]"


def _wrong(error: ValidationError) -> Json:
    """What is wrong with the fields of a frame."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in found]
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"]) or "it"
    return error_frame("VALIDATION_ERROR", f"{place}: {first['msg']}", None, errors[:_MAX_ERRORS])
