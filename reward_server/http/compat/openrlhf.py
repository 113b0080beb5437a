"""What OpenRLHF sends to ``--reward.remote_url`` and expects back.

Read from https://github.com/OpenRLHF/OpenRLHF/blob/3c3be6234e0cb353e76bb8019947db9dfe99fca7/
``openrlhf/utils/agent.py`` (``SingleTurnAgentExecutor``) and ``openrlhf/cli/serve_rm.py``.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import ConfigDict, FailFast, Field, JsonValue, model_validator

from reward_server.http.compat.strict_rewards import rewards_of
from shared.errors import InvalidRequest
from shared.language.completion_items import situation_of
from shared.language.reasoning import opened_by
from shared.language.surrogates import CompletionsModel
from shared.model import WireModel
from shared.wire.scoring import Item, ScoreResult

__all__ = ["ExtraLogs", "OpenRLHFAnswer", "OpenRLHFRequest"]


class OpenRLHFRequest(CompletionsModel):
    """Prompts with their completions; one label a row."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {
                "query": ['Extend?\n{"extend": "yes"}<|im_end|>'],
                "prompts": ["Extend?\n"],
                "labels": [
                    '{"state_id": "crossing@900-0a1b2c3d4e5f", "tls_id": "C", '
                    '"decision_kind": "extend"}'
                ],
            }
        },
    )

    query: Annotated[tuple[str, ...], FailFast()] = Field(min_length=1)
    """Each prompt with its completion behind it, special tokens and all."""
    prompts: Annotated[tuple[str, ...], FailFast()]
    labels: Annotated[tuple[JsonValue, ...], FailFast()]
    """What each prompt was about: JSON text or an object with state_id, tls_id, decision_kind, or
    of other domains with domain and problem_id."""

    @model_validator(mode="after")
    def _of_equal_length(self) -> Self:
        if not len(self.query) == len(self.prompts) == len(self.labels):
            raise ValueError("query, prompts and labels must be of equal length")
        return self

    def items(self, extend_s: int) -> list[Item]:
        """The completions as items.

        Raises:
            InvalidRequest: ``invalid_label``, ``prompt_not_in_query``.
        """
        rows = zip(self.query, self.prompts, self.labels, strict=True)
        return [
            situation_of(label, f"labels[{row}]").item(_completion(query, prompt, row), extend_s)
            for row, (query, prompt, label) in enumerate(rows)
        ]


class ExtraLogs(WireModel):
    """What OpenRLHF averages and logs: numbers, one per row."""

    invalid: tuple[float, ...]
    """1 where no legal decision could be read."""
    cached: tuple[float, ...]
    """1 where the outcome was known before."""


class OpenRLHFAnswer(WireModel):
    """One reward per row."""

    rewards: tuple[float, ...]
    scores: tuple[float, ...]
    """The same, for OpenRLHF's dynamic filtering."""
    extra_logs: ExtraLogs

    @classmethod
    def of(cls, results: Sequence[ScoreResult]) -> Self:
        """The answer to rows with these results.

        Raises:
            RewardsMissing, InvalidRequest: See :func:`rewards_of`.
        """
        rewards = tuple(rewards_of(results))
        logs = ExtraLogs(
            invalid=tuple(float(result.status == "invalid") for result in results),
            cached=tuple(float(result.cached) for result in results),
        )
        return cls(rewards=rewards, scores=rewards, extra_logs=logs)


def _completion(query: str, prompt: str, row: int) -> str:
    """The text after the prompt, with the tag of any reasoning block that the prompt opened.

    The prompt may be preceded by a beginning-of-text token.
    """
    begin = query.find(prompt)
    if begin < 0:
        raise InvalidRequest(
            f"query[{row}] does not contain prompts[{row}], so it is unclear where the completion "
            "begins; was the prompt truncated to the model's length?",
            "prompt_not_in_query",
        )
    return opened_by(prompt) + query[begin + len(prompt) :]
