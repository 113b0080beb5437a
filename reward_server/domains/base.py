"""What a domain is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from reward_server.scoring.response_cache import Answer, AnswerKey
from shared.domains.problems import ProblemView
from shared.rewards import RewardSpec
from shared.wire.scoring import Item, ScoreRequest
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.tasks import Task

__all__ = ["Computed", "Domain", "DomainContext", "ProblemDomain", "Terms"]

Computed = tuple[dict[AnswerKey, Answer], dict[str, RolloutOutcome]]
"""Answers that were not in memory, and the outcomes behind them, by key."""


@dataclass(frozen=True)
class Terms:
    """On what terms answers are computed."""

    request: ScoreRequest
    deadline: float
    """On the loop's clock."""
    flow: Flow
    """Whose share of the workers it takes."""
    request_id: str = ""


class Domain(Protocol):
    """What the scorer needs of a domain."""

    async def compute(self, items: Mapping[AnswerKey, Item], terms: Terms) -> Computed:
        """The answers to items of this domain, and the outcomes behind them.

        Raises:
            RequestError: An item names something that is not served, or the reward is none of the
                domain's.
        """

    def check(self, item: Item, reward: RewardSpec) -> None:
        """Returns where an item names what is served, under a reward that there is.

        Raises:
            RequestError: It does not.
        """


@dataclass(frozen=True)
class DomainContext:
    """What a domain is opened with."""

    datasets: tuple[Path, ...]
    """Those that it has claimed."""
    data_dir: Path
    """A folder of its own, which need not be there."""


class ProblemDomain(ABC):
    """A domain of problems that completions answer.

    This is what an installed package adds, by an entry point of the group ``greenfork.domains``
    that names the class. See docs/domains.md for one that is complete.
    """

    name: ClassVar[str]
    """As items say it; also the entry point's."""
    rewards: ClassVar[tuple[str, ...]]
    """The first is the default. Those of a package are called ``<domain>.<reward>``."""
    invalid_codes: ClassVar[frozenset[str]] = frozenset()
    """Codes of errors by which workers say that an answer breaks a rule: it is invalid, and not
    failed."""

    @classmethod
    @abstractmethod
    def claims(cls, dataset: Path) -> bool:
        """Whether a folder that is served is one of this domain."""

    @classmethod
    @abstractmethod
    def open(cls, context: DomainContext) -> "ProblemDomain":
        """Reads what is served."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Of what computes the metrics; another version may find others."""

    @abstractmethod
    def task(self, problem_id: str, completion: str) -> Task:
        """The work behind an answer. Equal work has equal texts.

        Raises:
            UnknownProblem: No such problem is served.
            InvalidDecision: The completion holds no answer.
        """

    @abstractmethod
    def reward(self, spec: RewardSpec, metrics: Mapping[str, int | float | None]) -> float:
        """A reward of this domain, or a sum of them, from the metrics that a worker has found."""

    @abstractmethod
    def problems(self) -> Sequence[ProblemView]:
        """What is served, in the order of the ids."""

    @abstractmethod
    def canary(self) -> Task | None:
        """Work that shows whether the domain can score; None where nothing is served."""
