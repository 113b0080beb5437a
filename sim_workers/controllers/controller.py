"""What a controller is: asked at every step of an episode what is decided at its signals."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from shared.wire.episodes import EpisodeDecision
from sim_workers.episodes.episode import Episode

__all__ = ["Controller", "ProgramKind"]

ProgramKind = str
"""SUMO's type of a signal program: ``actuated`` or ``delay_based``."""


class Controller(ABC):
    """Decides in one episode; another episode needs another one."""

    is_steering = True
    """Whether it decides at all; where not, the signals' programs run."""
    program: ProgramKind | None = None
    """The type of program that takes the place of the signals' own."""

    @abstractmethod
    def decide(self, episode: Episode) -> Mapping[str, EpisodeDecision]:
        """What is decided now, by signal. A signal that is left out goes on as it is."""
