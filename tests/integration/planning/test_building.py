"""Datasets of planning problems: generated ones, and somebody's own."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from planning.building import PlanningBuild, build_planning_dataset
from planning.domains.constructions import Construction
from planning.generators import DOMAINS
from planning.planners.reference import find_planner
from planning.records import PlanningLayout, PlanningRow, read_problems
from shared.errors import ConfigError, DatasetError
from shared.language.plans import Step
from trainer.curriculum import buckets_of
from trainer.curriculum.sources import dataset_samples, samples_under
from trainer.data.prompts import load_grpo_dataset

pytest.importorskip("unified_planning", reason="greenfork[planning] is not installed")

_DOMAIN = """(define (domain lamps) (:requirements :negative-preconditions)
 (:predicates (lit ?x)) ; of a street
 (:action light :parameters (?x) :precondition (not (lit ?x)) :effect (lit ?x)))"""


class _Lamplighter:
    """A planner of the domain above."""

    name = "lamplighter"

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        lamps = problem.partition("(:objects ")[2].partition(")")[0].split()
        return tuple(("light", lamp) for lamp in lamps)


def _lamps(count: int) -> str:
    names = [f"l{number}" for number in range(count)]
    goals = " ".join(f"(lit {name})" for name in names)
    return (
        f"(define (problem p) (:domain lamps) (:objects {' '.join(names)})\n"
        f" (:init) (:goal (and {goals})))"
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of somebody's own: six problems, one of which says nothing by its name.

    Nor does the folder's name: its domain is that of the others.
    """
    folder = tmp_path / "own" / "street"
    folder.mkdir(parents=True)
    (folder / "domain.pddl").write_text(_DOMAIN)
    for count in range(4, 9):
        (folder / f"lamps-n{count}.pddl").write_text(_lamps(count))
    (folder / "first try.pddl").write_text(_lamps(2))
    return tmp_path / "own"


def test_a_folder_of_ones_own(own: Path, tmp_path: Path) -> None:
    """The most difficult is held out; what cannot be read is easy, and of its folder's domain."""
    out = tmp_path / "out"
    with capture_logs() as logs:
        manifest = build_planning_dataset(PlanningBuild(out, source=own), _Lamplighter())
    assert [(one["log_level"], one["file"]) for one in logs] == [
        ("warning", "street/first try.pddl")
    ]
    assert manifest.problems == {"lamps": {"train": 5, "eval": 1}}
    assert {one.record.problem_file for one in read_problems(out)} == {
        *(f"street/lamps-n{count}.pddl" for count in range(4, 9)),
        "street/first try.pddl",
    }
    row = PlanningRow.model_validate_json(PlanningLayout(out).rows("eval").read_text())
    assert (row.difficulty, row.plan_steps) == (40.0, 8)
    assert row.prompt[-1].content.startswith("(:objects l0 l1")
    assert "of a street" not in row.prompt[0].content
    [bucket] = buckets_of(samples_under(out))
    assert (bucket.domain, bucket.sizes["easy"]) == ("lamps", 3)
    [bucket] = buckets_of(dataset_samples(load_grpo_dataset(out)))
    assert (bucket.domain, bucket.sizes["easy"]) == ("lamps", 2)


def test_a_plan_that_does_not_reach_the_goals_is_no_reference(own: Path, tmp_path: Path) -> None:
    """A planner's word is not taken for it, and nothing is left behind."""

    class Lazy(_Lamplighter):
        def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
            plan = super().solve(domain, problem)
            return plan[:-1] if plan else None

    with pytest.raises(DatasetError, match="does not reach the goals"):
        build_planning_dataset(PlanningBuild(tmp_path / "out", source=own), Lazy())
    assert not (tmp_path / "out").exists()


def test_a_problem_that_does_not_parse_is_named(own: Path, tmp_path: Path) -> None:
    """With its file, the line, and what was expected there."""
    (own / "street" / "lamps-n9.pddl").write_text(_lamps(9)[:-2])
    with pytest.raises(DatasetError, match=r"street/lamps-n9.pddl: the problem, line 2: ") as found:
        build_planning_dataset(PlanningBuild(tmp_path / "out", source=own), None)
    assert found.value.code == "bad_pddl"


def test_generated_problems_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """Two builds give the same bytes; constructed plans are valid, or there would be none."""
    for name in ("one", "two"):
        build = PlanningBuild(tmp_path / name, DOMAINS, 5, seed=3, has_shuffled_names=True)
        build_planning_dataset(build, Construction())
    files = [sorted(p for p in (tmp_path / name).rglob("*.*")) for name in ("one", "two")]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]
    lines = (tmp_path / "one" / "problems.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["split"] for record in records if record["pddl_domain"] == "ferry"] == [
        *["train"] * 4,
        "eval",
    ]
    assert all(record["plan"] for record in records)


def test_a_changed_problem_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """It is not what its plan and its outcomes belong to."""
    build_planning_dataset(PlanningBuild(tmp_path / "one", ("ferry",), problems=2), None)
    [record, _] = map(json.loads, (tmp_path / "one" / "problems.jsonl").read_text().splitlines())
    changed = tmp_path / "one" / record["problem_file"]
    changed.write_text(changed.read_text() + " ")
    with pytest.raises(DatasetError, match="is not what"):
        list(read_problems(tmp_path / "one"))


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """The folder must be new."""
    with pytest.raises(ConfigError, match="choose another --out"):
        build_planning_dataset(PlanningBuild(tmp_path, ("ferry",)), None)


def test_without_a_planner_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which packages bring one, and how to go without."""
    monkeypatch.setattr("planning.planners.reference.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install up-fast-downward or pyperplan") as found:
        find_planner()
    assert "--planner none" in found.value.message
