"""What slime sends to ``--rm-url`` with ``--rm-type remote_rm``, and the reward it expects.

Read from https://github.com/THUDM/slime/blob/624b824a898ab0ec1fcb4d373004c7f3852bf515/
``slime/rollout/rm_hub/__init__.py`` (``remote_rm``) and ``slime/utils/types.py``
(``Sample.get_reward_value``).
"""

from typing import Self

from pydantic import ConfigDict, JsonValue

from reward_server.http.compat.strict_rewards import rewards_of
from shared.language.completion_items import situation_of
from shared.language.reasoning import opened_by
from shared.language.surrogates import CompletionsModel
from shared.model import WireModel
from shared.rewards import AnyMetrics
from shared.wire.scoring import Item, ScoreResult, Status

__all__ = ["SlimeAnswer", "SlimeRequest"]


class SlimeRequest(CompletionsModel):
    """One sample."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {
                "prompt": "Extend?",
                "response": '{"extend": "yes"}',
                "label": {
                    "state_id": "crossing@900-0a1b2c3d4e5f",
                    "tls_id": "C",
                    "decision_kind": "extend",
                },
            }
        },
    )

    prompt: JsonValue = None
    """What the model got. Where it is text and ends within a block of reasoning that the chat
    template opened, that belongs to the response."""
    response: str
    """The completion."""
    label: JsonValue = None
    """What the prompt was about: JSON text or an object with state_id, tls_id, decision_kind, or of
    other domains with domain and problem_id."""
    metadata: JsonValue = None
    """The same, where a sample has no label. slime itself sends the label only."""

    def item(self, extend_s: int) -> Item:
        """The sample as an item.

        Raises:
            InvalidRequest: ``invalid_label``.
        """
        opened = opened_by(self.prompt) if isinstance(self.prompt, str) else ""
        text = opened + self.response
        if self.label is None and self.metadata is not None:
            return situation_of(self.metadata, "metadata").item(text, extend_s)
        return situation_of(self.label, "label").item(text, extend_s)


class SlimeAnswer(WireModel):
    """What ``--reward-key reward`` picks the reward out of."""

    reward: float
    status: Status
    error_code: str | None
    """Why the decision is invalid."""
    cached: bool
    metrics: AnyMetrics | None

    @classmethod
    def of(cls, result: ScoreResult) -> Self:
        """The answer to a sample with this result.

        Raises:
            RewardsMissing, InvalidRequest: See :func:`rewards_of`.
        """
        (reward,) = rewards_of([result])
        return cls(
            reward=reward,
            status=result.status,
            error_code=result.error.code if result.error else None,
            cached=result.cached,
            metrics=result.metrics,
        )
