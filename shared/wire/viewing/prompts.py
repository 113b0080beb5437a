"""What a model is asked in a state: ``GET /v1/states/{state_id}/prompt``."""

from typing import Literal

from shared.decisions import DecisionKind
from shared.model import WireModel

__all__ = ["PromptMessage", "PromptView"]


class PromptMessage(WireModel):
    """One message of it."""

    role: Literal["system", "user"]
    content: str


class PromptView(WireModel):
    """The prompt of a dataset's row."""

    state_id: str
    tls_id: str
    decision_kind: DecisionKind
    """What it asks for."""
    prompt: tuple[PromptMessage, ...]
