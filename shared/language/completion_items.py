"""A model's completion as an item to score; a *yes* may mean other seconds than the default."""

from typing import Self

from pydantic import ConfigDict, ValidationError

from shared.decisions import DecisionKind
from shared.errors import InvalidDecision, InvalidRequest
from shared.language.completions import (
    DEFAULT_EXTEND_S,
    MAX_COMPLETION_CHARS,
    MAX_SENT_CHARS,
    parse_completion,
)
from shared.language.reasoning import split_reasoning
from shared.model import WireModel
from shared.validation import validation_error
from shared.wire.scoring import GroupId, ScoreItem, StateId, TlsId

__all__ = ["DEFAULT_EXTEND_S", "Situation", "sendable"]


class Situation(WireModel):
    """What a prompt was about: which signal in which state, and what kind of decision.

    Other columns of a dataset's row may stand beside.
    """

    model_config = ConfigDict(extra="ignore")

    state_id: StateId
    tls_id: TlsId
    decision_kind: DecisionKind

    @classmethod
    def read(cls, label: object, place: str) -> Self:
        """The situation that a trainer's label holds, as an object or as JSON text.

        Args:
            label: What came in the place of a right answer.
            place: Where it came, for the message.

        Raises:
            InvalidRequest: ``invalid_label``.

        >>> row = '{"state_id": "a@1-00", "tls_id": "C", "decision_kind": "extend"}'
        >>> Situation.read(row, "label").tls_id
        'C'
        """
        try:
            if isinstance(label, str | bytes):
                return cls.model_validate_json(label)
            return cls.model_validate(label)
        except ValidationError as exc:
            is_whole = exc.error_count() == 1 and not exc.errors()[0]["loc"]
            reason = "is not a JSON object" if is_whole else validation_error(exc).message
            raise InvalidRequest(
                f"{place}: {reason}; expected state_id, tls_id and decision_kind",
                "invalid_label",
            ) from exc

    def item(
        self, text: str, extend_s: int = DEFAULT_EXTEND_S, group_id: GroupId | None = None
    ) -> ScoreItem:
        """A completion of the prompt as an item; as a decision only where it lacks seconds.

        Args:
            text: The completion.
            extend_s: Seconds that a *yes* without seconds of its own adds.
            group_id: Equal for completions that are compared with each other.
        """
        place = {"state_id": self.state_id, "tls_id": self.tls_id, "group_id": group_id}
        if extend_s != DEFAULT_EXTEND_S:
            try:
                decision = parse_completion(text, self.decision_kind, extend_s)
            except InvalidDecision:
                pass  # the service says what is wrong with it
            else:
                return ScoreItem.model_validate(place | {"decision": decision})
        said = {"decision_kind": self.decision_kind, "completion": sendable(text)}
        return ScoreItem.model_validate(place | said)


def sendable(text: str) -> str:
    """A completion that is short enough to be sent, and is read as the whole would be.

    Of one that is too long the reasoning is left out; what is then too long has no answer, or one
    that is too long itself.
    """
    if len(text) <= MAX_SENT_CHARS:
        return text
    answer = split_reasoning(text).answer
    return "<think>" if answer is None else answer[: MAX_COMPLETION_CHARS + 1]
