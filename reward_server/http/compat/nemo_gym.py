"""What a NeMo Gym agent sends to a resources server's ``/verify``, and the answer it expects.

Read from https://github.com/NVIDIA-NeMo/Gym/blob/07d6b0d07b22fcf530b4c211dae2ee23100428e4/
``nemo_gym/base_resources_server.py`` (``BaseVerifyRequest``, ``BaseVerifyResponse``),
``nemo_gym/server_utils.py`` (``request``) and ``responses_api_agents/simple_agent/app.py``.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from reward_server.http.compat.strict_rewards import rewards_of
from shared.errors import HolderLost, OutOfMemory, WorkerLost
from shared.language.completion_items import ProblemSituation, Situation, situation_of
from shared.language.surrogates import CompletionsModel
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Item, ScoreResult, Status
from shared.wire.trainer_terms import TrainerTerms

__all__ = ["MaskableAnswer", "PolicyResponse", "VerifyAnswer", "VerifyRequest", "VerifyTerms"]

_FIELDS = frozenset({"state_id", "tls_id", "decision_kind", "problem_id"})

_FAILURE_KINDS = {
    OutOfMemory.code: "provider_oom_killed",
    HolderLost.code: "provider_unavailable",
    WorkerLost.code: "provider_unavailable",
}
"""Our codes in NeMo Gym's vocabulary (0.7.0, ``nemo_gym/failure_kinds.py``); all others are a
``verifier_error``."""


class VerifyTerms(TrainerTerms):
    """The parameters of the URL."""

    missing: Literal["error", "mask"] = "error"
    """What becomes of a reward that could not be computed: an HTTP error, or a sample that says of
    itself that it must not be used."""


class PolicyResponse(BaseModel):
    """A response of the OpenAI Responses API, reduced to what matters here."""

    model_config = ConfigDict(extra="allow")

    output: list[JsonValue]


class VerifyRequest(CompletionsModel):
    """A dataset's row with the policy's response. What is not known here comes back as it came."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "responses_create_params": {"input": [{"role": "user", "content": "Extend?"}]},
                "verifier_metadata": {
                    "state_id": "crossing@900-0a1b2c3d4e5f",
                    "tls_id": "C",
                    "decision_kind": "extend",
                },
                "response": {
                    "output": [
                        {
                            "type": "message",
                            "role": "assistant",
                            "content": [{"type": "output_text", "text": '{"extend": "yes"}'}],
                        }
                    ]
                },
            }
        },
    )

    response: PolicyResponse
    verifier_metadata: dict[str, JsonValue] | None = None
    """What the prompt was about: state_id, tls_id, decision_kind, or of other domains domain and
    problem_id. They may stand beside it too."""

    def item(self, extend_s: int) -> Item:
        """The policy's last message as an item; without a message, an empty completion.

        Raises:
            InvalidRequest: ``invalid_label``.
        """
        completion = _last_message(self.response.output)
        return self._situation().item(completion, extend_s)

    def echo(self) -> bytes:
        """The parts of the request to return unchanged: all but those that the answer sets."""
        return self.model_dump_json(
            exclude_unset=True, exclude=set(MaskableAnswer.model_fields)
        ).encode()

    def _situation(self) -> Situation | ProblemSituation:
        metadata = self.verifier_metadata or {}
        if _FIELDS.isdisjoint(metadata) and not _FIELDS.isdisjoint(self.model_extra or {}):
            return situation_of(self.model_extra, "the row")
        return situation_of(metadata, "verifier_metadata")


class VerifyAnswer(BaseModel):
    """The request again, with the reward. Numbers at the top are what NeMo Gym averages."""

    model_config = ConfigDict(extra="allow", ser_json_inf_nan="null")

    reward: float
    greenfork_status: Status
    greenfork_error_code: str | None
    """Why the decision is invalid, or there is no reward."""
    greenfork_invalid: int = Field(ge=0, le=1)
    greenfork_cached: int = Field(ge=0, le=1)
    greenfork_queue_veh: float | None
    """The mean queue after the decision; null of an invalid one, and of other domains."""

    @classmethod
    def of(cls, result: ScoreResult) -> Self:
        """Our part of the answer to a request with this result.

        Raises:
            RewardsMissing, InvalidRequest: See :func:`rewards_of`.
        """
        (reward,) = rewards_of([result])
        return cls(
            reward=reward,
            greenfork_status=result.status,
            greenfork_error_code=result.error.code if result.error else None,
            greenfork_invalid=int(result.status == "invalid"),
            greenfork_cached=int(result.cached),
            greenfork_queue_veh=getattr(result.metrics, "queue_veh", None),
        )

    def json_with(self, echo: bytes) -> bytes:
        """The whole answer: the request again, which may be long, followed by our part.

        Args:
            echo: :meth:`VerifyRequest.echo`; never empty, for a request has a response.
        """
        return echo[:-1] + b"," + self.model_dump_json().encode()[1:]


class MaskableAnswer(VerifyAnswer):
    """An answer that can say of itself that there is no reward.

    ``BaseVerifyResponse`` of NeMo Gym has these fields since its pull request 2611 (0.7.0). Its
    ``reward`` cannot be null: that of a masked sample is 0.0 and means nothing.
    """

    mask_sample: bool = False
    failure_kind: str | None = None
    failure_reason: str | None = None

    @classmethod
    def of(cls, result: ScoreResult) -> Self:
        """What is ours of the answer to a request with this result; nothing is an error."""
        if result.error is None or result.reward is not None:
            return super().of(result)
        return cls.masked(result.error)

    @classmethod
    def masked(cls, error: ErrorInfo) -> Self:
        """What is ours of the answer where this error stands in place of a reward."""
        return cls(
            reward=0.0,
            greenfork_status="failed",
            greenfork_error_code=error.code,
            greenfork_invalid=0,
            greenfork_cached=0,
            greenfork_queue_veh=None,
            mask_sample=True,
            failure_kind=_FAILURE_KINDS.get(error.code, "verifier_error"),
            failure_reason=error.message,
        )


def _last_message(output: list[JsonValue]) -> str:
    for item in reversed(output):
        match item:
            case {"type": "message", "role": "assistant", "content": list(parts)}:
                return "".join(_text(part) for part in parts)
    return ""


def _text(part: JsonValue) -> str:
    match part:
        case {"type": "output_text", "text": str(text)}:
            return text
    return ""
