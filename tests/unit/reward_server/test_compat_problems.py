"""Other trainers' protocols for problems of other domains, planning among them."""

import json
from pathlib import Path
from typing import Any

import pytest

from planning.verdicts import PlanMetrics
from reward_server.domains.planning import PlanningDomain
from reward_server.scoring.single_flight import Work
from shared.rewards import DomainMetrics
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.tasks import Task
from tests.unit.reward_server.compat_clients import PROMPT, answer, gym_body, message, post
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import assert_problem

_DOMAIN = "(define (domain d) (:predicates (p)) (:action a :parameters () :effect (p)))"
_PROBLEM = "(define (problem x) (:domain d) (:init) (:goal (p)))"
_GOOD, _HALF, _NONE = "(a)", "(a)\n(a)", "I do not know."


async def _judged(work: Work, flow: Flow) -> RolloutOutcome:
    """A plan of one step is right; longer ones reach half of the goals."""
    assert isinstance(work, Task)
    steps = len(json.loads(work.work).get("steps", ["of the parser"]))
    metrics = PlanMetrics(
        is_valid=int(steps == 1),
        executable_share=1.0,
        goals_share=1.0 if steps == 1 else 0.5,
        steps=steps,
        cost=steps,
    )
    return RolloutOutcome(numbers=DomainMetrics(metrics.model_dump()))


@pytest.fixture
async def gateway(
    open_gateway: OpenGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Gateway:
    """A gateway with planning, whose runner judges plans by their length."""
    opened = await open_gateway(domains=(PlanningDomain([], tmp_path / "problems"),))
    monkeypatch.setattr(opened.runner, "run", _judged)
    return opened


@pytest.fixture
async def label(gateway: Gateway) -> dict[str, str]:
    """What a planning dataset's row says of its problem."""
    body = {"name": "rooms-n2", "domain": _DOMAIN, "problem": _PROBLEM}
    stored = await gateway.http.put("/v1/problems", json=body)
    return {"domain": "planning", "problem_id": stored.json()["problem_id"]}


def _openrlhf(labels: list[Any], *completions: str) -> dict[str, object]:
    query = [f"{PROMPT}{completion}<|im_end|>" for completion in completions]
    return {"query": query, "prompts": [PROMPT] * len(completions), "labels": labels}


async def test_openrlhf(gateway: Gateway, label: dict[str, str]) -> None:
    """Labels as text or as objects; the domain's default reward where the URL names none."""
    labels = [json.dumps(label), label | {"plan_steps": 3}, {"problem_id": label["problem_id"]}]
    body = _openrlhf(labels, _GOOD, _HALF, _NONE)
    told = await answer(gateway, "/compat/openrlhf", body)
    assert told["rewards"] == told["scores"] == [1.0, 0.0, -1.0]
    assert told["extra_logs"]["invalid"] == [0.0, 0.0, 1.0]
    told = await answer(gateway, "/compat/openrlhf", body, reward="plan_progress")
    assert told["rewards"] == [1.0, 0.25, -1.0]


async def test_slime(gateway: Gateway, label: dict[str, str]) -> None:
    """The metrics are those of the domain."""
    for name, plan, reward in (("plan_valid", _GOOD, 1.0), ("plan_progress", _HALF, 0.25)):
        body = {"prompt": PROMPT, "response": plan, "label": label}
        told = await answer(gateway, "/compat/slime", body, reward=name)
        assert (told["reward"], told["status"]) == (reward, "scored")
    assert told["metrics"]["goals_share"] == 0.5
    body = {"response": _NONE, "label": label}
    told = await answer(gateway, "/compat/slime", body, invalid_reward=-3)
    assert (told["reward"], told["error_code"]) == (-3.0, "no_plan")


@pytest.mark.parametrize("place", ["verifier_metadata", "row"])
async def test_nemo_gym(gateway: Gateway, label: dict[str, str], place: str) -> None:
    """In the metadata, or in the row itself; there is no queue."""
    where: dict[str, Any] = {place: label} if place != "row" else dict(label)
    told = await answer(gateway, "/compat/nemo-gym/verify", gym_body(message(_GOOD), **where))
    assert (told["reward"], told["greenfork_status"]) == (1.0, "scored")
    assert told["greenfork_queue_veh"] is None
    assert told["greenfork_invalid"] == 0


async def test_what_is_of_the_other_domain_is_refused(
    gateway: Gateway, label: dict[str, str]
) -> None:
    """A reward of traffic for a plan, a problem that is not served, a domain that is not."""
    body = {"response": _GOOD, "label": label}
    for terms in ({"reward": "queue_gain"}, {"reward": "custom.co2"}):
        assert_problem(await post(gateway, "/compat/slime", body, **terms), 422, "unknown_reward")
    for change, code in (
        ({"problem_id": "none"}, "unknown_problem"),
        ({"domain": "music"}, "unknown_domain"),
    ):
        body = {"response": _GOOD, "label": label | change}
        assert_problem(await post(gateway, "/compat/slime", body), 404, code)


@pytest.mark.parametrize("label", [{"problem_id": ""}, {"problem_id": 3}, {"domain": "planning"}])
async def test_labels_that_name_no_problem(gateway: Gateway, label: dict[str, object]) -> None:
    """They are refused, and told what is expected."""
    problem = assert_problem(
        await post(gateway, "/compat/slime", {"response": _GOOD, "label": label}),
        *(422, "invalid_label"),
    )
    assert problem["detail"].startswith("label: ")
    assert problem["detail"].endswith("or for planning problem_id")
