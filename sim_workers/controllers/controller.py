"""What a controller is: asked at every step of an episode what is decided at its signals.

Or an answerer: it gets the questions of a moment at once, over signals and seeds, so that a model
can take them as one batch. Which model that is, and how it is reached, is not this package's
business: whoever starts the episodes hands it in.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.dataset import Message
from shared.errors import GreenforkError
from shared.wire.episodes import EpisodeDecision
from sim_workers.episodes.episode import Episode

__all__ = ["Answerer", "AnswererSpec", "Controller", "ProgramKind", "Question"]

ProgramKind = str
"""SUMO's type of a signal program: ``actuated`` or ``delay_based``."""


class Controller(ABC):
    """Decides in one episode; another episode needs another one."""

    is_steering = True
    """Whether it decides at all; where not, the signals' programs run."""
    program: ProgramKind | None = None
    """The type of program that takes the place of the signals' own."""

    rollouts = 0
    """How many there were so far, where it looks ahead."""

    @abstractmethod
    def decide(self, episode: Episode) -> Mapping[str, EpisodeDecision]:
        """What is decided now, by signal. A signal that is left out goes on as it is."""


@dataclass(frozen=True)
class Question:
    """What is asked about one signal of one episode."""

    seed: int
    """The episode's."""
    tls_id: str
    prompt: tuple[Message, ...]


class Answerer(Protocol):
    """Answers questions; used by one thread at a time."""

    def answer(self, questions: Sequence[Question]) -> Sequence[str | GreenforkError]:
        """The texts, in the order of the questions.

        A text is read as it is: where no decision can be read from it, it counts as invalid and the
        signal goes on as it is. Where there is no text at all, because nobody could be asked, the
        error stands in its place, and that episode fails.
        """


@dataclass(frozen=True)
class AnswererSpec:
    """An answerer as a controller: it decides in all its episodes together."""

    name: str
    answerer: Answerer
