"""Planning: plans for PDDL problems, validated in the workers' processes."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from planning.records import (
    PlanningLayout,
    ProblemRecord,
    ProblemText,
    problem_id_of,
    read_problems,
)
from planning.texts import domain_outline, problem_outline
from planning.verdicts import PLAN_REWARDS, PlanMetrics, plan_reward
from reward_server.domains.base import DomainContext, ProblemDomain
from shared.domains.problem_names import read_problem_name
from shared.domains.problems import NewProblem, ProblemView
from shared.errors import DatasetError, ProblemError, UnknownProblem
from shared.files import os_errors, write_atomically
from shared.language.plans import read_plan
from shared.rewards import RewardSpec
from sim_workers.pool.tasks import Task

__all__ = ["PlanningDomain"]

_PERFORMER = "planning.performer:PlanPerformer"


class PlanningDomain(ProblemDomain):
    """Scores plans.

    Args:
        problems: The served problems.
        uploads: Folder of uploaded problems, which all gateways of a data directory share.
    """

    name: ClassVar[str] = "planning"
    rewards: ClassVar[tuple[str, ...]] = PLAN_REWARDS
    invalid_codes: ClassVar[frozenset[str]] = frozenset({"unknown_action", "wrong_arguments"})

    def __init__(self, problems: Sequence[ProblemText], uploads: Path) -> None:
        self._problems = {one.record.problem_id: one for one in problems}
        self._uploads = uploads

    @classmethod
    def claims(cls, dataset: Path) -> bool:
        """Whether a folder was made by ``greenfork dataset planning``."""
        return PlanningLayout(dataset).is_there

    @classmethod
    def open(cls, context: DomainContext) -> "PlanningDomain":
        """Reads the problems of datasets."""
        found = [one for root in context.datasets for one in read_problems(root)]
        return cls(found, context.data_dir)

    @cached_property
    def version(self) -> str:
        """The version of unified-planning."""
        try:
            return f"unified-planning {version('unified-planning')}"
        except PackageNotFoundError:
            return "unified-planning"

    def task(self, problem_id: str, completion: str) -> Task:
        """The work that scores a plan.

        Raises:
            UnknownProblem: No such problem is served.
            InvalidDecision: ``no_plan``, ``plan_too_long``.
        """
        return self._task(self._get(problem_id), read_plan(completion).steps)

    def reward(self, spec: RewardSpec, metrics: Mapping[str, int | float | None]) -> float:
        """The value of ``plan_valid``, ``plan_progress``, or a sum of them."""
        return plan_reward(spec.name, PlanMetrics.model_validate(dict(metrics)), spec.terms)

    def problems(self) -> Sequence[ProblemView]:
        """The served problems, including uploads."""
        self._look()
        return [self._view(self._problems[key]) for key in sorted(self._problems)]

    def canary(self) -> Task | None:
        """Validating the reference plan of the least difficult problem that has one."""
        with_plan = [one for one in self._problems.values() if one.record.plan]
        if with_plan:
            first = min(with_plan, key=lambda one: (one.record.difficulty, one.record.problem_id))
            return self._task(first, first.record.plan or ())
        return next((self.reading(one) for one in self._problems.values()), None)

    def reading(self, one: ProblemText) -> Task:
        """The task of parsing a problem, which fails if that is not possible."""
        texts = {"domain": one.domain, "problem": one.problem}
        return Task(
            domain=self.name,
            problem_id=one.record.problem_id,
            performer=_PERFORMER,
            work=json.dumps(texts, sort_keys=True),
        )

    def draft(self, new: NewProblem) -> ProblemText:
        """An uploaded problem, before a worker has parsed it.

        Raises:
            ProblemError: Its texts are too long, too deeply nested or incomplete; or it belongs to
                a different domain from the one sent with it.
        """
        own, wanted = domain_outline(new.domain).name, problem_outline(new.problem).domain
        if own != wanted:
            words = f"the problem belongs to the domain {wanted}, but the domain given is {own}"
            raise ProblemError(words, "wrong_domain")
        read = read_problem_name(f"{own}/{new.name}.pddl")
        record = ProblemRecord(
            problem_id=problem_id_of(new.name, new.domain, new.problem),
            name=new.name,
            pddl_domain=own,
            problem_file=f"{own}/{new.name}.pddl",
            difficulty=read.difficulty or 0.0,
            split="train",
        )
        return ProblemText(record, new.domain, new.problem)

    def knows(self, problem_id: str) -> bool:
        """Whether a problem is served."""
        try:
            self._get(problem_id)
        except UnknownProblem:
            return False
        return True

    def keep(self, one: ProblemText) -> None:
        """Serves a problem from now on, here and at every gateway of this data directory.

        Raises:
            DatasetError: The problem cannot be written.
        """
        file = self._file(one.record.problem_id)
        with os_errors(DatasetError, f"cannot write {file}"):
            self._uploads.mkdir(parents=True, exist_ok=True)
            content = {
                "record": one.record.model_dump(mode="json"),
                "domain": one.domain,
                "problem": one.problem,
            }
            write_atomically(file, json.dumps(content).encode())
        self._problems[one.record.problem_id] = one

    def view(self, problem_id: str, created: bool = False) -> ProblemView:
        """A problem as the API shows it.

        Raises:
            UnknownProblem: No such problem is served.
        """
        return self._view(self._get(problem_id)).model_copy(update={"created": created})

    def _get(self, problem_id: str) -> ProblemText:
        found = self._problems.get(problem_id) or self._uploaded(problem_id)
        if found is None:
            raise UnknownProblem(f"this service has no problem {problem_id!r}")
        return found

    def _uploaded(self, problem_id: str) -> ProblemText | None:
        """A problem that was uploaded to another gateway."""
        file = self._file(problem_id)
        if file.parent != self._uploads or not file.is_file():
            return None
        try:
            content = json.loads(file.read_bytes())
            record = ProblemRecord.model_validate(content["record"])
        except (OSError, ValueError, KeyError, ValidationError):
            return None
        found = ProblemText(record, content["domain"], content["problem"])
        self._problems[problem_id] = found
        return found

    def _look(self) -> None:
        files = self._uploads.glob("*.json") if self._uploads.is_dir() else ()
        for file in files:
            if file.stem not in self._problems:
                self._uploaded(file.stem)

    def _file(self, problem_id: str) -> Path:
        return self._uploads / f"{problem_id}.json"

    def _task(self, one: ProblemText, steps: Sequence[tuple[str, ...]]) -> Task:
        work = {"domain": one.domain, "problem": one.problem, "steps": steps}
        return Task(
            domain=self.name,
            problem_id=one.record.problem_id,
            performer=_PERFORMER,
            work=json.dumps(work, sort_keys=True),
            shown=json.dumps(steps),
        )

    def _view(self, one: ProblemText) -> ProblemView:
        record = one.record
        return ProblemView(
            problem_id=record.problem_id,
            domain=self.name,
            group=record.pddl_domain,
            difficulty=record.difficulty,
        )
