"""The cheapest plans of problems as candidates for offline training, with a planner made up."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenfork.commands.dataset import app
from planning import building
from planning import judge as judging
from planning.building import PlanningBuild, build_planning_dataset
from planning.judge import Judge
from planning.planners import top_plans as module
from planning.planners.top_plans import top_plan_rows
from shared.errors import ConfigError, DatasetError
from shared.language.plans import Step
from trainer.offline.candidates import listed_candidates

pytest.importorskip("unified_planning", reason="greenfork[planning] is not installed")

_DOMAIN = """(define (domain lamps) (:requirements :negative-preconditions)
 (:predicates (lit ?x))
 (:action light :parameters (?x) :precondition (not (lit ?x)) :effect (lit ?x))
 (:action douse :parameters (?x) :precondition (lit ?x) :effect (not (lit ?x))))"""
_PROBLEM = """(define (problem p) (:domain lamps) (:objects a b)
 (:init) (:goal (and (lit a) (lit b))))"""
_LONE = """(define (problem q) (:domain lamps) (:objects a) (:init) (:goal (lit a)))"""
_LONGER: tuple[Step, ...] = (("light", "a"), ("douse", "a"), ("light", "a"), ("light", "b"))


class _Lamplighter:
    """Knows every order in which lamps can be lit, and one detour."""

    def __init__(self, *more: tuple[Step, ...]) -> None:
        self._more = more

    def solve(self, domain: str, problem: str, count: int) -> list[tuple[Step, ...]]:
        lamps = problem.partition("(:objects ")[2].partition(")")[0].split()
        orders = [tuple(("light", lamp) for lamp in order) for order in permutations(lamps)]
        more = self._more if len(lamps) > 1 else ()
        return [*more, *orders][:count]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process for all tests, which takes seconds to start."""
    with Judge() as judge:
        yield judge


@pytest.fixture
def dataset(tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A problem with several plans, and one with a single plan."""
    for place in (judging, building):
        monkeypatch.setattr(place, "Judge", lambda: nullcontext(judge))
    folder = tmp_path / "own" / "lamps"
    folder.mkdir(parents=True)
    (folder / "domain.pddl").write_text(_DOMAIN)
    (folder / "lamps-n2.pddl").write_text(_PROBLEM)
    (folder / "lamps-n1.pddl").write_text(_LONE)
    out = tmp_path / "lamps"
    build_planning_dataset(PlanningBuild(out, source=tmp_path / "own"), None)
    return out


def test_plans_are_scored_by_their_cost(dataset: Path, judge: Judge) -> None:
    """The cheapest first, each judged; a problem with a single plan has nothing to compare."""
    first, second = sorted(
        top_plan_rows(dataset, "train", 8, _Lamplighter(_LONGER), judge),
        key=lambda one: one.problem_id,
    )
    assert (first.row, first.reason) == (None, "it has only one plan")
    assert second.row is not None
    assert second.row["id_list"][:2] == ["(light a)\n(light b)", "(light b)\n(light a)"]
    assert second.row["score_list"] == [1.0, 1.0, 0.5]
    assert "plan" not in second.row
    read = listed_candidates(second.row, "line 1")
    assert [candidate.scored.score for candidate in read] == [1.0, 1.0, 0.5]


def test_a_plan_that_does_not_reach_the_goals_is_no_candidate(dataset: Path, judge: Judge) -> None:
    """The planner is then not to be trusted: nothing is written."""
    with pytest.raises(DatasetError, match=r"lamps-n2\.pddl: a plan of the planner does not reach"):
        list(top_plan_rows(dataset, "train", 8, _Lamplighter((("light", "a"),)), judge))


def test_the_command(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes what was found, and lists what was left out."""
    monkeypatch.setattr(module, "find_top_planner", lambda: _Lamplighter(_LONGER))
    out = tmp_path / "top.jsonl"
    arguments = ["top-plans", str(dataset), "--out", str(out), "--json"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert (report["rows"], report["equal"]) == (1, 0)
    assert [one["reason"] for one in report["left_out"]] == ["it has only one plan"]
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["domain"] == "planning"
    assert row["prompt"][-1]["role"] == "user"


def test_without_a_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package to install is named."""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install kstar-planner") as caught:
        module.find_top_planner()
    assert caught.value.code == "no_planner"


def test_a_dataset_of_traffic_is_refused(tmp_path: Path) -> None:
    """The other command is named."""
    said = CliRunner().invoke(app, ["top-plans", str(tmp_path), "--out", "x.jsonl"])
    assert isinstance(said.exception, DatasetError) or "greenfork dataset plans" in said.output
