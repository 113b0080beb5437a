"""The frames of OpenEnv's protocol, and the schemas of what is in them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.errors import GreenforkError
from shared.wire.episode_views import EpisodeResult
from shared.wire.episodes import InvalidInfo, SignalObservation

__all__ = [
    *("Close", "ErrorCode", "Frame", "Metadata", "Observation", "Reset", "State", "Step"),
    *("TrafficAction", "error_frame", "observation_frame", "state_frame"),
]

ErrorCode = Literal[
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "EXECUTION_ERROR",
    "CAPACITY_REACHED",
    "SESSION_ERROR",
]
"""OpenEnv's own; after the last two the socket is closed."""


class _Frame(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reset(_Frame):
    """Begins an episode."""

    type: Literal["reset"]
    data: dict[str, JsonValue] = {}
    """Fields of ``POST /v1/episodes``, and ``episode_id``, a name of the client's own."""


class Step(_Frame):
    """Decides, and goes on to the next decision."""

    type: Literal["step"]
    data: dict[str, JsonValue]
    """The action."""


class AskState(_Frame):
    """Asks where the episode is."""

    type: Literal["state"]


class Close(_Frame):
    """Ends the session."""

    type: Literal["close"]


Frame = Annotated[Reset | Step | AskState | Close, Field(discriminator="type")]
"""What a client sends."""


class TrafficAction(BaseModel):
    """What is decided; an action without ``completion`` is itself the completion."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    completion: JsonValue
    """A model's text or any JSON value; with several signals an object by signal."""
    metadata: dict[str, JsonValue] = {}
    """Ignored."""


class Metadata(BaseModel):
    """What stands beside an observation."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    episode_id: str
    """Under which ``/v1/episodes`` knows it."""
    step: int
    """Steps that are done."""
    figures: EpisodeResult | None = None
    """At the end: what the episode adds up to."""


class Observation(BaseModel):
    """What a client sees before it decides."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    time_s: float
    """Simulated time, seconds."""
    signals: dict[str, SignalObservation]
    """The signals that are steered."""
    rewards: dict[str, float]
    """Each signal's own; empty at the begin."""
    invalid: dict[str, InvalidInfo]
    """Signals whose decision was not carried out, and why."""
    kept: tuple[str, ...]
    """Signals that went on as they were."""
    metadata: Metadata

    def of_a_client(self) -> dict[str, Any]:
        """As JSON, without what is not there."""
        return self.model_dump(mode="json", exclude_none=True)


class State(BaseModel):
    """Where the episode is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    episode_id: str | None = None
    """The client's own name of it, or else ours; null before the first reset."""
    step_count: int = Field(default=0, ge=0)
    greenfork_episode_id: str | None = None
    """Under which ``/v1/episodes`` knows it."""
    time_s: float | None = None
    """Simulated time, seconds."""
    done: bool = False
    """Whether its end is reached."""


def observation_frame(seen: Observation, reward: float | None, done: bool) -> dict[str, Any]:
    """The answer to a reset or a step."""
    told = seen.of_a_client()
    data = {"observation": told, "reward": reward, "done": done, "metadata": told["metadata"]}
    return {"type": "observation", "data": data}


def state_frame(state: State) -> dict[str, Any]:
    """The answer to the question where the episode is."""
    return {"type": "state", "data": state.model_dump(mode="json")}


def error_frame(
    code: ErrorCode,
    message: str,
    error: GreenforkError | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """What went wrong.

    Args:
        code: OpenEnv's.
        message: For people.
        error: Ours; its code and whether a retry can help go along.
        errors: Of validation, one for each field.
    """
    data: dict[str, Any] = {"message": message, "code": code}
    if error is not None:
        data |= {"greenfork_code": error.code, "retryable": error.retryable}
    if errors is not None:
        data["errors"] = errors
    return {"type": "error", "data": data}
