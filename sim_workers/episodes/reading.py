"""Reading the decision of an episode's step out of a model's text. Never guesses."""

from shared.decisions import Extend
from shared.language.completions import parse_completion, parse_shown_phase
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeDecision,
    ExtendControl,
    ExtendGreen,
    ShowPhase,
)

__all__ = ["read_decision"]


def read_decision(text: str, control: EpisodeControl) -> EpisodeDecision:
    """The decision that a model's text holds.

    Raises:
        InvalidDecision: None can be read; codes as
            :func:`shared.language.completions.parse_completion`.
    """
    if not isinstance(control, ExtendControl):
        return ShowPhase(next_phase=parse_shown_phase(text))
    extend = parse_completion(text, "extend", control.interval_s)
    assert isinstance(extend, Extend), "that was asked for"  # noqa: S101
    return ExtendGreen(extend=extend.extend, extend_s=extend.extend_s)
