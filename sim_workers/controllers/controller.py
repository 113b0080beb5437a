"""The interface of controllers: asked at every step of an episode what to decide at its signals.

The alternative is an answerer: it gets all questions of a moment at once, over signals and seeds,
so that a model can answer them as one batch. Which model that is, and how it is reached, is not
this package's business: whoever starts the episodes provides it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from shared.dataset import Message
from shared.errors import GreenforkError
from shared.signals import Signal
from shared.wire.episodes import EpisodeDecision, ProgramKind, StepAnswer, StepRequest
from sim_workers.engine.episodes.messages import PhaseRule, Stepped, Trial
from sim_workers.episodes.episode import FinishedEpisode
from sim_workers.episodes.record import EpisodeSpec

__all__ = ["Answerer", "AnswererSpec", "Controller", "DrivenEpisode", "Question"]


class DrivenEpisode(Protocol):
    """An episode under a controller, on this machine or behind a service.

    It has the interface of :class:`sim_workers.episodes.episode.Episode`, where it is documented.
    """

    @property
    def spec(self) -> EpisodeSpec: ...  # noqa: D102
    @property
    def seen(self) -> Stepped: ...  # noqa: D102
    @property
    def answer(self) -> StepAnswer: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102
    @property
    def is_over(self) -> bool: ...  # noqa: D102
    @property
    def steered(self) -> Mapping[str, Signal]: ...  # noqa: D102

    def program_id(self, tls_id: str) -> str: ...  # noqa: D102
    def step(self, request: StepRequest) -> StepAnswer: ...  # noqa: D102
    def try_candidates(  # noqa: D102
        self,
        candidates: Sequence[Mapping[str, EpisodeDecision]],
        horizon_s: int,
        base: PhaseRule = "keep",
        at_once: int = 1,
        limit_s: float = 600,
    ) -> tuple[Trial, ...]: ...
    def finish(self) -> FinishedEpisode: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Controller(ABC):
    """Decides in one episode; each episode needs a controller of its own."""

    is_steering = True
    """Whether it decides at all; if not, the signals' programs run."""
    program: ProgramKind | None = None
    """The type of program that replaces the signals' own."""

    rollouts = 0
    """The number of rollouts so far, if it looks ahead."""

    @abstractmethod
    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """The present decisions, by signal. A signal that is left out continues as it is."""

    def request(self, episode: DrivenEpisode) -> StepRequest:
        """The step to request now; by default, one with the present decisions."""
        return StepRequest(step=episode.steps, decisions=dict(self.decide(episode)))


@dataclass(frozen=True)
class Question:
    """A question about one signal of one episode."""

    seed: int
    """The seed of the episode."""
    tls_id: str
    prompt: tuple[Message, ...]


class Answerer(Protocol):
    """Answers questions; used by one thread at a time."""

    def answer(self, questions: Sequence[Question]) -> Sequence[str | GreenforkError]:
        """The texts, in the order of the questions.

        A text is taken as it is: if no decision can be read from it, it counts as invalid and the
        signal continues as it is. If there is no text at all, because nobody could be asked, the
        error takes its place, and that episode fails.
        """


@dataclass(frozen=True)
class AnswererSpec:
    """An answerer as a controller: it decides in all its episodes together."""

    name: str
    answerer: Answerer
