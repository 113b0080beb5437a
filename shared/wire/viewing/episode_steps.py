"""The steps of an episode as they were recorded: ``GET /v1/episodes/{episode_id}/steps``."""

from shared.model import WireModel
from shared.wire.episodes import StepAnswer, StepRequest

__all__ = ["EpisodeSteps", "RecordedStep"]


class RecordedStep(WireModel):
    """One step."""

    step: int
    request: StepRequest
    """What was asked."""
    answer: StepAnswer
    """What was answered: where the episode was then."""


class EpisodeSteps(WireModel):
    """Some of an episode's steps, in order."""

    begin: StepAnswer
    """What its creation was answered: what the first step decided upon."""
    steps: tuple[RecordedStep, ...]
    total: int
    """All there are."""
    limit: int
    offset: int
