"""A model's completion as an item to score; a *yes* may mean other seconds than the default."""

import json
from collections.abc import Mapping
from typing import Self, TypeVar

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
from shared.wire.scoring import (
    DomainItem,
    DomainName,
    GroupId,
    ProblemId,
    ScoreItem,
    StateId,
    TlsId,
)

__all__ = ["DEFAULT_EXTEND_S", "ProblemSituation", "Situation", "sendable", "situation_of"]

_Kind = TypeVar("_Kind", bound=WireModel)


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
        return _read(cls, label, place)

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


class ProblemSituation(WireModel):
    """What a prompt of another domain than traffic was about."""

    model_config = ConfigDict(extra="ignore")

    domain: DomainName = "planning"
    problem_id: ProblemId

    def item(
        self, text: str, extend_s: int = DEFAULT_EXTEND_S, group_id: GroupId | None = None
    ) -> DomainItem:
        """A completion of the prompt as an item.

        Args:
            text: The completion.
            extend_s: Of traffic alone; not looked at.
            group_id: Equal for completions that are compared with each other.
        """
        place = {"domain": self.domain, "problem_id": self.problem_id, "group_id": group_id}
        return DomainItem.model_validate(place | {"completion": sendable(text)})


def situation_of(label: object, place: str) -> Situation | ProblemSituation:
    """What a prompt of any domain was about, as an object or as JSON text.

    A label with a ``problem_id`` and no ``state_id`` is that of a problem, of ``planning`` if it
    names no ``domain``.

    Args:
        label: What came in the place of a right answer.
        place: Where it came, for the message.

    Raises:
        InvalidRequest: ``invalid_label``.

    >>> situation_of({"problem_id": "p"}, "label").domain
    'planning'
    """
    said = label
    if isinstance(label, str | bytes):
        try:
            said = json.loads(label)
        except (ValueError, RecursionError):  # what is wrong with it is said below
            said = None
    if isinstance(said, Mapping) and "problem_id" in said and "state_id" not in said:
        return _read(ProblemSituation, said, place)
    return _read(Situation, label, place)


def _read(kind: type[_Kind], label: object, place: str) -> _Kind:
    try:
        if isinstance(label, str | bytes):
            return kind.model_validate_json(label)
        return kind.model_validate(label)
    except ValidationError as exc:
        is_whole = exc.error_count() == 1 and not exc.errors()[0]["loc"]
        reason = "is not a JSON object" if is_whole else validation_error(exc).message
        raise InvalidRequest(
            f"{place}: {reason}; expected state_id, tls_id and decision_kind, or for planning "
            "problem_id",
            "invalid_label",
        ) from exc


def sendable(text: str) -> str:
    """A completion that is short enough to be sent, and is read as the whole would be.

    Of one that is too long the reasoning is left out; what is then too long has no answer, or one
    that is too long itself.
    """
    if len(text) <= MAX_SENT_CHARS:
        return text
    answer = split_reasoning(text).answer
    return "<think>" if answer is None else answer[: MAX_COMPLETION_CHARS + 1]
