"""What an episode has done so far, and what remains of it at the end."""

from collections import Counter
from dataclasses import dataclass, field

from shared.wire.episodes import ControlAction, EpisodeFigures, StepRequest
from sim_workers.engine.episodes.messages import GreenShown
from sim_workers.episodes.figures import Outputs
from sim_workers.episodes.record import EpisodeRecord

__all__ = ["FinishedEpisode", "Progress"]


@dataclass(frozen=True)
class FinishedEpisode:
    """What remains of a finished episode."""

    figures: EpisodeFigures
    outputs: Outputs
    actions: tuple[ControlAction, ...]
    """The commands given to the signals, to be repeated in plain SUMO."""
    record: EpisodeRecord
    greens: tuple[GreenShown, ...] = ()
    """The greens shown by all signals that have anything to decide, in order."""


@dataclass
class Progress:
    """What an episode has done so far."""

    steps: list[StepRequest] = field(default_factory=list)
    actions: list[ControlAction] = field(default_factory=list)
    decisions: Counter[tuple[str, bool]] = field(default_factory=Counter)
    greens: list[GreenShown] = field(default_factory=list)

    def copy(self) -> "Progress":
        """A copy for another episode that continues from here."""
        decisions = Counter(self.decisions)
        return Progress(list(self.steps), list(self.actions), decisions, list(self.greens))
