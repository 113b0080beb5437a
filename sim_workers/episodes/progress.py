"""What an episode has done so far, and what is left of it in the end."""

from collections import Counter
from dataclasses import dataclass, field

from shared.wire.episodes import ControlAction, EpisodeFigures, StepRequest
from sim_workers.engine.episodes.messages import GreenShown
from sim_workers.episodes.figures import Outputs
from sim_workers.episodes.record import EpisodeRecord

__all__ = ["FinishedEpisode", "Progress"]


@dataclass(frozen=True)
class FinishedEpisode:
    """What is left of an episode."""

    figures: EpisodeFigures
    outputs: Outputs
    actions: tuple[ControlAction, ...]
    """What was told to the signals, to be repeated in plain SUMO."""
    record: EpisodeRecord
    greens: tuple[GreenShown, ...] = ()
    """What all signals that have something to decide have shown, in order."""


@dataclass
class Progress:
    """What an episode has done so far."""

    steps: list[StepRequest] = field(default_factory=list)
    actions: list[ControlAction] = field(default_factory=list)
    decisions: Counter[tuple[str, bool]] = field(default_factory=Counter)
    greens: list[GreenShown] = field(default_factory=list)

    def copy(self) -> "Progress":
        """For another episode that goes on from here."""
        decisions = Counter(self.decisions)
        return Progress(list(self.steps), list(self.actions), decisions, list(self.greens))
