"""Reading the decision for an episode's step from a model's text, without ever guessing."""

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
    """The decision in a model's text.

    Raises:
        InvalidDecision: No decision can be read; codes as for
            :func:`shared.language.completions.parse_completion`.
    """
    if not isinstance(control, ExtendControl):
        return ShowPhase(next_phase=parse_shown_phase(text))
    extend = parse_completion(text, "extend", control.interval_s)
    assert isinstance(extend, Extend), "that was asked for"  # noqa: S101
    return ExtendGreen(extend=extend.extend, extend_s=extend.extend_s)
