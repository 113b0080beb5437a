"""Reference plans from an installed planner, which is run as a separate program.

Both planners are under the GNU General Public License. They are run, never imported, and only by
dataset builds and tests; neither the service nor training needs one.

| planner | from | plans |
|---|---|---|
| Fast Downward | ``pip install up-fast-downward`` | shortest, or good ones if that takes too long |
| pyperplan | ``pip install pyperplan`` | good ones |

A third, ``construction``, is our own: :mod:`planning.domains.constructions`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from planning.domains.constructions import Construction
from shared.errors import ConfigError, InvalidDecision
from shared.language.plans import Step, read_plan

__all__ = ["Planner", "PlannerName", "find_planner"]

PlannerName = Literal["auto", "fast-downward", "pyperplan", "construction"]
_SHORTEST_S, _LIMIT_S = 5.0, 60.0
_DOMAIN, _PROBLEM = "domain.pddl", "problem.pddl"


class Planner(Protocol):
    """Finds plans."""

    @property
    def name(self) -> str:
        """The planner's name."""

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        """A plan; None if none is found in time."""


def find_planner(wanted: PlannerName = "auto") -> Planner:
    """An installed planner.

    Raises:
        ConfigError: The planner is not installed, or none is.
    """
    if wanted == "construction":
        return Construction()
    known: dict[str, Planner] = {"fast-downward": _FastDownward(), "pyperplan": _Pyperplan()}
    modules = {"fast-downward": "up_fast_downward", "pyperplan": "pyperplan"}
    for name, planner in known.items():
        if wanted in ("auto", name) and find_spec(modules[name]) is not None:
            return planner
    packages = "up-fast-downward or pyperplan" if wanted == "auto" else modules[wanted]
    raise ConfigError(
        f"no planner is installed: pip install {packages.replace('_', '-')}; or pass --planner "
        "construction for longer plans of generated problems, or --planner none for no plans",
        "no_planner",
    )


class _FastDownward:
    """Fast Downward from the package ``up-fast-downward``."""

    name = "fast-downward"

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        spec = find_spec("up_fast_downward")
        assert spec is not None, "find_planner has found it"  # noqa: S101
        assert spec.origin is not None, "it is a package"  # noqa: S101
        driver = Path(spec.origin).parent / "downward" / "fast-downward.py"
        call = [sys.executable, str(driver), "--plan-file", "plan"]
        shortest = [*call, _DOMAIN, _PROBLEM, "--search", "astar(lmcut())"]
        found = _solved(shortest, domain, problem, "plan", _SHORTEST_S)
        if found is None:
            quick = [*call, "--alias", "lama-first", _DOMAIN, _PROBLEM]
            found = _solved(quick, domain, problem, "plan", _LIMIT_S)
        return found


class _Pyperplan:
    """pyperplan: greedy search with the heuristic of the relaxed plan."""

    name = "pyperplan"

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        call = [sys.executable, "-m", "pyperplan", "-H", "hff", "-s", "wastar", _DOMAIN, _PROBLEM]
        return _solved(call, domain, problem, f"{_PROBLEM}.soln", _LIMIT_S)


def _solved(
    call: Sequence[str], domain: str, problem: str, plan: str, limit_s: float
) -> tuple[Step, ...] | None:
    with tempfile.TemporaryDirectory(prefix="greenfork-planner-") as folder:
        place = Path(folder)
        (place / _DOMAIN).write_text(domain)
        (place / _PROBLEM).write_text(problem)
        try:
            subprocess.run(
                call,
                cwd=place,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        if not (place / plan).is_file():
            return None
        try:
            return read_plan((place / plan).read_text()).steps
        except InvalidDecision:  # the goals already hold, so the plan is empty
            return None
