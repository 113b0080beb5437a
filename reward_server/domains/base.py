"""The interface of a domain."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from reward_server.scoring.response_cache import Answer, AnswerKey
from shared.domains.problems import ProblemView
from shared.rewards import RewardSpec
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, ScoreRequest
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.tasks import Task

__all__ = ["Computed", "Domain", "DomainContext", "ProblemDomain", "Terms"]

Computed = tuple[dict[AnswerKey, Answer], dict[str, RolloutOutcome]]
"""Answers that were not in memory, and the outcomes they are made of, by key."""


@dataclass(frozen=True)
class Terms:
    """The conditions under which answers are computed."""

    request: ScoreRequest
    deadline: float
    """Deadline on the event loop's clock."""
    flow: Flow
    """The flow whose share of the workers is used."""
    request_id: str = ""


class Domain(Protocol):
    """What the scorer needs from a domain."""

    async def compute(self, items: Mapping[AnswerKey, Item], terms: Terms) -> Computed:
        """Computes the answers to items of this domain, and the outcomes they are made of.

        Raises:
            RequestError: An item names something that is not served, or the domain has no such
                reward.
        """

    def check(self, item: Item, spec: JobSpec) -> None:
        """Checks that an item names something served, and that the domain has what is asked for.

        Raises:
            RequestError: One of these is not so.
        """


@dataclass(frozen=True)
class DomainContext:
    """What a domain gets when it is opened."""

    datasets: tuple[Path, ...]
    """The datasets that the domain has claimed."""
    data_dir: Path
    """A folder for the domain's own use, which may not exist yet."""


class ProblemDomain(ABC):
    """A domain of problems that are answered by completions.

    An installed package adds one by an entry point in the group ``greenfork.domains`` that names
    the class. See docs/domains.md for a complete example.
    """

    name: ClassVar[str]
    """The name that items give; also the name of the entry point."""
    rewards: ClassVar[tuple[str, ...]]
    """Names of the rewards, default first. Those of a package are called ``<domain>.<reward>``."""
    invalid_codes: ClassVar[frozenset[str]] = frozenset()
    """Codes of worker errors that mean that an answer breaks a rule: it is then invalid rather than
    failed."""

    @classmethod
    @abstractmethod
    def claims(cls, dataset: Path) -> bool:
        """Whether a served folder belongs to this domain."""

    @classmethod
    @abstractmethod
    def open(cls, context: DomainContext) -> "ProblemDomain":
        """Reads the served datasets."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the code that computes the metrics; another version may give other values."""

    @abstractmethod
    def task(self, problem_id: str, completion: str) -> Task:
        """The work that scores an answer. Equal work has equal texts.

        Raises:
            UnknownProblem: No such problem is served.
            InvalidDecision: The completion holds no answer.
        """

    @abstractmethod
    def reward(self, spec: RewardSpec, metrics: Mapping[str, int | float | None]) -> float:
        """A reward of this domain, or a sum of several, from the metrics found by a worker."""

    @abstractmethod
    def problems(self) -> Sequence[ProblemView]:
        """The served problems, ordered by id."""

    @abstractmethod
    def canary(self) -> Task | None:
        """Work that shows whether the domain can score; None if nothing is served."""
