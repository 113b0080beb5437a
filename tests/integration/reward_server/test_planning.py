"""Plans scored by a real gateway, in a worker's process."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from planning.building import PlanningBuild, build_planning_dataset
from planning.records import read_problems
from shared.language.plans import Step
from tests.integration.reward_server.serving import served

pytest.importorskip("unified_planning", reason="greenfork[planning] is not installed")

_DOMAIN = """(define (domain walk) (:predicates (at ?x) (path ?x ?y))
 (:action go :parameters (?x ?y) :precondition (and (at ?x) (path ?x ?y))
  :effect (and (at ?y) (not (at ?x)))))"""
_PROBLEM = """(define (problem p) (:domain walk) (:objects a b c)
 (:init (at a) (path a b) (path b c)) (:goal (at c)))"""


class _Guide:
    """A planner of the domain above."""

    name = "guide"

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        return (("go", "a", "b"), ("go", "b", "c"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One problem."""
    root = tmp_path_factory.mktemp("planning")
    (root / "own" / "walk").mkdir(parents=True)
    (root / "own" / "walk" / "domain.pddl").write_text(_DOMAIN)
    (root / "own" / "walk" / "walk-n3.pddl").write_text(_PROBLEM)
    build_planning_dataset(PlanningBuild(root / "data", source=root / "own"), _Guide())
    return root / "data"


def test_plans_behind_the_url(dataset: Path, tmp_path: Path) -> None:
    """A service of planning alone: right, broken and unreadable plans, and an upload."""
    [problem] = [one.record for one in read_problems(dataset)]
    plans = ["(go a b)\n(go b c)", "(go a b)\n(go a c)", "(fly a c)", "walk!"]
    items = [
        {"domain": "planning", "problem_id": problem.problem_id, "completion": plan}
        for plan in plans
    ]
    body = {"items": items, "reward": {"name": "plan_progress"}, "timeout_s": 120}
    with served(dataset, data_dir=tmp_path) as url, httpx.Client(base_url=url, timeout=150) as http:
        answer = http.post("/v1/score", json=body).json()
        again = http.post("/v1/score", json=body | {"reward": {"name": "plan_valid"}}).json()
        protocols = _other_protocols(http, items[:2])
        new = {"name": "walk-n4", "domain": _DOMAIN, "problem": _PROBLEM.replace("at c", "at b")}
        uploaded = http.put("/v1/problems", json=new)
        broken = http.put("/v1/problems", json=new | {"problem": _PROBLEM.replace("at c", "on c")})
        other = items[0] | {"problem_id": uploaded.json()["problem_id"]}
        scored = http.post("/v1/score", json={"items": [other], "timeout_s": 120}).json()
    right, wrong, unknown, none = answer["results"]
    assert right["reward"] == 1.0
    assert right["metrics"] == {
        "is_valid": 1,
        "executable_share": 1.0,
        "goals_share": 1.0,
        "steps": 2,
        "cost": 2.0,
    }
    assert (wrong["status"], wrong["reward"]) == ("scored", 0.0)
    assert wrong["metrics"]["executable_share"] == 0.5
    assert (unknown["status"], unknown["error"]["code"]) == ("invalid", "unknown_action")
    assert (none["status"], none["error"]["code"]) == ("invalid", "no_plan")
    assert [result["reward"] for result in again["results"]] == [1.0, 0.0, -1.0, -1.0]
    assert again["results"][0]["cached"]
    assert uploaded.status_code == 201
    assert (broken.status_code, broken.json()["code"]) == (422, "bad_pddl")
    assert "line: 2" in json.dumps(broken.json())
    assert scored["results"][0]["reward"] == 0.0, "plan_valid is the domain's own reward"
    assert protocols == {"openrlhf": [1.0, 0.0], "slime": [1.0, 0.0], "nemo-gym/verify": [1.0, 0.0]}


def _other_protocols(http: httpx.Client, items: list[dict[str, str]]) -> dict[str, list[float]]:
    """The rewards of the same plans, asked for as other trainers do."""

    def posted(protocol: str, body: object) -> dict[str, Any]:
        answer = http.post(f"/compat/{protocol}", params={"timeout_s": 120}, json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    labels = [{name: item[name] for name in ("domain", "problem_id")} for item in items]
    plans = [item["completion"] for item in items]
    pairs = list(zip(labels, plans, strict=True))
    query = [f"Plan:{plan}<|im_end|>" for plan in plans]
    body = {"query": query, "prompts": ["Plan:"] * len(plans), "labels": labels}
    said = [[{"type": "output_text", "text": plan}] for plan in plans]
    messages = [{"type": "message", "role": "assistant", "content": content} for content in said]
    gym = [
        {"response": {"output": [message]}, **label}
        for label, message in zip(labels, messages, strict=True)
    ]
    return {
        "openrlhf": posted("openrlhf", body)["rewards"],
        "slime": [posted("slime", {"label": la, "response": p})["reward"] for la, p in pairs],
        "nemo-gym/verify": [posted("nemo-gym/verify", row)["reward"] for row in gym],
    }
