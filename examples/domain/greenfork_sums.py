"""A third domain, complete: sums, and how close an answer comes to them.

A served folder with a ``sums.json`` is of this domain: ``{"small": [1, 2], "large": [400, 7]}``.
Items are ``{"domain": "sums", "problem_id": "small", "completion": "3"}``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from reward_server.domains import DomainContext, ProblemDomain
from shared.domains.problems import ProblemView
from shared.errors import InvalidDecision, UnknownProblem
from shared.rewards import RewardSpec
from sim_workers.pool.tasks import Task

__all__ = ["SumPerformer", "SumsDomain"]


class SumsDomain(ProblemDomain):
    """What the gateway asks: which problems there are, and what an answer's work and reward are.

    Args:
        sums: The terms of each problem, by its id.
    """

    name: ClassVar[str] = "sums"
    rewards: ClassVar[tuple[str, ...]] = ("sums.exact", "sums.close")

    def __init__(self, sums: Mapping[str, Sequence[int]]) -> None:
        self._sums = sums

    @classmethod
    def claims(cls, dataset: Path) -> bool:
        """Whether a folder holds sums."""
        return (dataset / "sums.json").is_file()

    @classmethod
    def open(cls, context: DomainContext) -> "SumsDomain":
        """Reads the folders that are served."""
        found: dict[str, Sequence[int]] = {}
        for root in context.datasets:
            found |= json.loads((root / "sums.json").read_text())
        return cls(found)

    @property
    def version(self) -> str:
        """Of what computes the metrics: another one is asked anew."""
        return "greenfork-sums 1"

    def task(self, problem_id: str, completion: str) -> Task:
        """The work behind an answer; what is no answer is invalid, with a code."""
        if problem_id not in self._sums:
            raise UnknownProblem(f"this service has no sum {problem_id!r}")
        try:
            answer = int(completion)
        except ValueError as exc:
            raise InvalidDecision("the completion is not a whole number", "no_number") from exc
        work = json.dumps({"terms": self._sums[problem_id], "answer": answer})
        return Task(
            domain=self.name,
            problem_id=problem_id,
            performer="greenfork_sums:SumPerformer",
            work=work,
            shown=str(answer),
        )

    def reward(self, spec: RewardSpec, metrics: Mapping[str, int | float | None]) -> float:
        """1 where it is right; or 0 and less, the further off the answer is."""
        off = metrics["off_by"] or 0
        values = {"sums.exact": float(off == 0), "sums.close": -float(off)}
        return sum(weight * values[name] for name, weight in (spec.terms or {spec.name: 1}).items())

    def problems(self) -> Sequence[ProblemView]:
        """What is served."""
        return [
            ProblemView(problem_id=one, domain=self.name, group="sums")
            for one in sorted(self._sums)
        ]

    def canary(self) -> Task | None:
        """Any work whose outcome is always the same."""
        return next((self.task(one, "0") for one in sorted(self._sums)), None)


class SumPerformer:
    """What a worker does, in its own process."""

    def perform(self, work: str, limit_s: float) -> Mapping[str, int | float | None]:
        """The metrics of an answer."""
        said = json.loads(work)
        return {"off_by": abs(sum(said["terms"]) - said["answer"])}

    def interrupt(self) -> None:
        """It is done at once: there is nothing to end."""

    def close(self) -> None:
        """It holds nothing."""
