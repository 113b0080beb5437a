"""The k cheapest plans of each problem, as scored candidates for offline training.

They are found by K* (``pip install kstar-planner``), which is under the GNU General Public License:
it is run as a program and never imported, as those of :mod:`planning.planners.reference` are.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from planning.judge import Judge
from planning.records import PlanningLayout, PlanningRow, ProblemText, Split, read_problems
from shared.errors import ConfigError, DatasetError, GreenforkError
from shared.files import os_errors
from shared.language.plans import Step, plan_text, read_plan

__all__ = [
    "MAX_PLANS",
    "KStar",
    "TopPlanner",
    "TopPlans",
    "find_top_planner",
    "plans_of",
    "top_plan_rows",
]

MAX_PLANS = 64
_LIMIT_S = 60
_MIN_CANDIDATES = 2
_DOMAIN, _PROBLEM = "domain.pddl", "problem.pddl"
_HEADING = re.compile(r"^Plan \d+, of cost \S+$", re.MULTILINE)


class TopPlanner(Protocol):
    """Finds several plans."""

    def solve(self, domain: str, problem: str, count: int) -> list[tuple[Step, ...]]:
        """At most ``count`` different plans, cheapest first; none if it runs out of time."""


@dataclass(frozen=True)
class TopPlans:
    """What was found for one problem."""

    row: dict[str, Any] | None
    """The query with its candidates, cheapest first; None if there are not two of them."""
    problem_id: str
    reason: str = ""
    """Why there is no row."""


class KStar:
    """K* from the package ``kstar-planner``.

    Args:
        python: The interpreter that has it.
        limit_s: Seconds for each problem.
    """

    def __init__(self, python: str = sys.executable, limit_s: int = _LIMIT_S) -> None:
        self._python = python
        self._limit_s = limit_s

    def solve(self, domain: str, problem: str, count: int) -> list[tuple[Step, ...]]:
        """The cheapest plans; see :class:`TopPlanner`."""
        with tempfile.TemporaryDirectory(prefix="greenfork-planner-") as folder:
            place = Path(folder)
            (place / _DOMAIN).write_text(domain)
            (place / _PROBLEM).write_text(problem)
            bounds = ["-k", str(count), "-t", str(self._limit_s)]
            try:
                said = subprocess.run(
                    [self._python, "-m", "kstar_planner", _DOMAIN, _PROBLEM, *bounds],
                    cwd=place,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    capture_output=True,
                    text=True,
                    timeout=2 * self._limit_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return []
        return plans_of(said.stdout)


def plans_of(said: str) -> list[tuple[Step, ...]]:
    r"""The plans in what K* prints, each once.

    >>> plans_of("Plan 1, of cost 1\n1. (a b)\n\nPlan 2, of cost 2\n1. (c)\n2. (a b)\n")
    [(('a', 'b'),), (('c',), ('a', 'b'))]
    >>> plans_of("The problem was proved unsolvable by the planner")
    []
    """
    _, *texts = _HEADING.split(said)
    return list(dict.fromkeys(read_plan(text).steps for text in texts if text.strip()))


def find_top_planner() -> TopPlanner:
    """The installed planner.

    Raises:
        ConfigError: ``no_planner``.
    """
    if find_spec("kstar_planner") is None:
        raise ConfigError(
            "no planner that finds several plans is installed: pip install kstar-planner",
            "no_planner",
        )
    return KStar()


def top_plan_rows(
    dataset: Path,
    split: Split,
    count: int,
    planner: TopPlanner,
    judge: Judge,
    problems: int | None = None,
) -> Iterator[TopPlans]:
    """The plans of each problem of a dataset, validated and scored.

    Args:
        dataset: A planning dataset.
        split: The rows to use.
        count: Number of plans for each problem.
        planner: Finds them.
        judge: Validates them.
        problems: How many problems to use, evenly spread; None for all.

    Raises:
        DatasetError: The dataset cannot be read, has no such rows, or a plan does not reach the
            goals.
    """
    texts = {one.record.problem_id: one for one in read_problems(dataset)}
    rows = _rows(PlanningLayout(dataset).rows(split))
    wanted = min(problems or len(rows), len(rows))
    for number in range(wanted):
        row = rows[number * len(rows) // wanted]
        if row.problem_id not in texts:
            raise DatasetError(f"{dataset} has no problem {row.problem_id}")
        yield _found(row, texts[row.problem_id], planner, count, judge)


def _scored(
    plans: Sequence[tuple[Step, ...]], one: ProblemText, judge: Judge
) -> list[tuple[str, float]]:
    """Plans as texts with their scores, the cost of the cheapest divided by their own.

    Raises:
        DatasetError: A plan does not reach the goals.
        GreenforkError: It cannot be validated.
    """
    costs: list[float] = []
    for plan in plans:
        metrics = judge.judge(one.domain, one.problem, plan)
        if not metrics.is_valid:
            file = one.record.problem_file
            raise DatasetError(f"{file}: a plan of the planner does not reach the goals")
        costs.append(metrics.cost)
    best = min(costs, default=0.0)
    scores = [1.0 if cost == best else best / cost for cost in costs]
    pairs = zip(map(plan_text, plans), scores, strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])


def _found(
    row: PlanningRow, one: ProblemText, planner: TopPlanner, count: int, judge: Judge
) -> TopPlans:
    plans = planner.solve(one.domain, one.problem, count)
    if len(plans) < _MIN_CANDIDATES:
        reason = "it has only one plan" if plans else "no plan was found in time"
        return TopPlans(None, row.problem_id, reason)
    try:
        candidates = _scored(plans, one, judge)
    except DatasetError:
        raise
    except GreenforkError as exc:
        return TopPlans(None, row.problem_id, f"{exc.message} [{exc.code}]")
    query = row.model_dump(mode="json", exclude={"plan", "plan_steps"})
    query["id_list"] = [text for text, _ in candidates]
    query["score_list"] = [score for _, score in candidates]
    return TopPlans(query, row.problem_id)


def _rows(path: Path) -> list[PlanningRow]:
    with os_errors(DatasetError, f"cannot read {path}"):
        lines = path.read_text().splitlines()
    try:
        rows = [PlanningRow.model_validate(json.loads(line)) for line in lines]
    except ValueError as exc:
        raise DatasetError(f"{path}: {exc}") from exc
    if not rows:
        raise DatasetError(f"{path} contains no rows")
    return rows
