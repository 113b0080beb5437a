"""Several domains behind one URL, on a fake runner."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest

from planning.records import ProblemText
from reward_server.domains import DomainContext, ProblemDomain, registry
from reward_server.domains.planning import PlanningDomain
from reward_server.domains.registry import parted
from shared.domains.problems import ProblemView
from shared.domains.reward_names import DomainMetrics
from shared.errors import ConfigError, InvalidDecision, UnknownProblem
from shared.rewards import NamedMetrics, RewardSpec
from shared.wire.scoring import ScoreResult
from sim_workers.pool.tasks import Task
from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway


class Lengths(ProblemDomain):
    """A domain in which answers are as good as they are long."""

    name: ClassVar[str] = "lengths"
    rewards: ClassVar[tuple[str, ...]] = ("lengths.long", "lengths.short")

    @classmethod
    def claims(cls, dataset: Path) -> bool:
        """Folders of that name."""
        return dataset.name == "lengths"

    @classmethod
    def open(cls, context: DomainContext) -> ProblemDomain:
        """There is nothing to read."""
        return cls()

    @property
    def version(self) -> str:
        """The only one."""
        return "1"

    def task(self, problem_id: str, completion: str) -> Task:
        """Any answer but an empty one."""
        if problem_id != "any":
            raise UnknownProblem(f"no problem {problem_id}")
        if not completion:
            raise InvalidDecision("it is empty", "empty")
        return Task(domain=self.name, problem_id=problem_id, performer="nobody:No", work=completion)

    def reward(self, spec: RewardSpec, metrics: Mapping[str, int | float | None]) -> float:
        """The length, or how short it is."""
        values = {
            "lengths.long": metrics["length"] or 0,
            "lengths.short": -(metrics["length"] or 0),
        }
        weights = spec.terms or {spec.name: 1.0}
        return float(sum(weight * values[name] for name, weight in weights.items()))

    def problems(self) -> Sequence[ProblemView]:
        """The only one."""
        return [ProblemView(problem_id="any", domain=self.name, group="all")]

    def canary(self) -> Task | None:
        """A word."""
        return self.task("any", "tweet")


def _item(completion: str, **more: object) -> dict[str, Any]:
    return {"domain": "lengths", "problem_id": "any", "completion": completion} | more


async def _scored(
    open_gateway: OpenGateway, *items: dict[str, Any], **terms: object
) -> tuple[Gateway, httpx.Response]:
    gateway = await open_gateway(domains=(Lengths(),))
    answer = await gateway.http.post("/v1/score", json={"items": items} | terms)
    return gateway, answer


async def test_items_of_two_domains_in_one_request(open_gateway: OpenGateway) -> None:
    """Each is scored in its own; results stand in the order of the items."""
    gateway = await open_gateway(domains=(Lengths(),))
    body = {
        "items": [
            _item("three", id="a"),
            {"state_id": "unknown", "tls_id": "C", "decision": {"extend": True}},
        ]
    }
    refused = await gateway.http.post("/v1/score", json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_state")
    body["items"][1] = _item("")
    answer = (await gateway.http.post("/v1/score", json=body)).json()
    first, second = answer["results"]
    assert (first["id"], first["reward"], first["metrics"]) == ("a", 5.0, {"length": 5})
    assert (second["status"], second["error"]["code"]) == ("invalid", "empty")
    assert second["reward"] == -1.0


async def test_equal_answers_are_computed_once_for_ever(open_gateway: OpenGateway) -> None:
    """By single flight, from memory, and from the ledger in another gateway's life."""
    for life in range(2):
        gateway, answer = await _scored(open_gateway, _item("abc"), _item("abc"), _item("ab"))
        assert [result["cached"] for result in answer.json()["results"]] == [life > 0] * 3
        again = await gateway.http.post("/v1/score", json={"items": [_item("abc")]})
        assert again.json()["results"][0]["cached"]
        assert len(gateway.runner.tasks) == (2 if life == 0 else 0)


@pytest.mark.parametrize(
    ("reward", "value"),
    [
        ({"name": "lengths.short"}, -3.0),
        ({"name": "sum", "terms": {"lengths.long": 2, "lengths.short": 1}}, 3.0),
    ],
)
async def test_rewards_are_the_domains_own(
    open_gateway: OpenGateway, reward: dict[str, object], value: float
) -> None:
    """Single ones, and sums of them."""
    _, answer = await _scored(open_gateway, _item("abc"), reward=reward)
    assert answer.json()["results"][0]["reward"] == value


@pytest.mark.parametrize(
    ("item", "terms", "status", "code"),
    [
        (_item("a", problem_id="other"), {}, 404, "unknown_problem"),
        (_item("a", domain="music"), {}, 404, "unknown_domain"),
        (_item("a"), {"reward": {"name": "plan_valid"}}, 422, "unknown_reward"),
        (_item("a"), {"reward": {"name": "luck"}}, 422, "unknown_reward"),
        ({"domain": "lengths", "completion": "a"}, {}, 422, "invalid_request"),
    ],
)
async def test_what_is_not_there_is_refused(
    open_gateway: OpenGateway, item: dict[str, Any], terms: dict[str, Any], status: int, code: str
) -> None:
    """With a code, and nothing is computed."""
    gateway, answer = await _scored(open_gateway, item, **terms)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gateway.runner.tasks == []


async def test_an_item_of_traffic_knows_no_other_rewards(open_gateway: OpenGateway) -> None:
    """A reward of planning for a decision is refused, not computed from something else."""
    gateway = await open_gateway()
    answer = await gateway.score({"decision": {"extend": True}}, reward={"name": "plan_valid"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_reward")


async def test_errors_name_the_place_of_an_item(open_gateway: OpenGateway) -> None:
    """As ever, and without the words by which kinds of items are told apart."""
    gateway = await open_gateway()
    for item, place in (({"tls_id": 1}, "items[0].tls_id"), ({"domain": "X"}, "items[0].domain")):
        answer = await gateway.http.post("/v1/score", json={"items": [item]})
        assert place in answer.json()["detail"]
        assert "item:" not in answer.text


async def test_a_job_of_another_domain(open_gateway: OpenGateway) -> None:
    """Lines are items of any domain; an unknown problem is named with its line."""
    gateway = await open_gateway(domains=(Lengths(),))
    spec = json.dumps({"reward": {"name": "lengths.long"}})
    lines = [json.dumps(_item("a")), json.dumps(_item("b", problem_id="other"))]
    headers = {"content-type": "application/x-ndjson"}

    async def post(*which: str) -> httpx.Response:
        body = "\n".join(which)
        return await gateway.http.post(
            "/v1/jobs", params={"spec": spec}, content=body, headers=headers
        )

    refused = await post(*lines)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_problem")
    assert "line 2" in refused.json()["detail"]
    assert (await post(lines[0])).status_code == 202


async def test_a_domain_without_states_is_ready(open_gateway: OpenGateway) -> None:
    """Its canary is tried, and what it gives is compared with what it gave before."""
    gateway = await open_gateway(store=StateStore.open([]), domains=(Lengths(),))
    assert (await gateway.http.get("/readyz")).status_code == 200
    assert [task.work for task in gateway.runner.tasks] == ["tweet"]


def test_folders_belong_to_the_domain_that_claims_them(tmp_path: Path) -> None:
    """What nobody claims is of traffic."""
    kinds: dict[str, type[ProblemDomain]] = {"planning": PlanningDomain, "lengths": Lengths}
    plans = tmp_path / "plans"
    plans.mkdir()
    (plans / "planning.json").write_text("{}")
    folders = [plans, tmp_path / "lengths", tmp_path / "crossing"]
    found = parted(folders, kinds)
    assert found == {
        "planning": (plans,),
        "lengths": (tmp_path / "lengths",),
        "traffic": (tmp_path / "crossing",),
    }


_DOMAIN = "(define (domain d) (:predicates (p)) (:action a :parameters () :effect (p)))"
_PROBLEM = "(define (problem x) (:domain d) (:init) (:goal (p)))"


async def test_a_problem_is_uploaded_once(open_gateway: OpenGateway, tmp_path: Path) -> None:
    """It is content-addressed, listed, and known to another gateway of the data directory."""
    planning = PlanningDomain([], tmp_path / "problems")
    gateway = await open_gateway(domains=(planning, Lengths()))
    body = {"name": "rooms-n2", "domain": _DOMAIN, "problem": _PROBLEM}
    first, second = [await gateway.http.put("/v1/problems", json=body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    problem_id = first.json()["problem_id"]
    assert problem_id.startswith("rooms-n2-")
    assert first.json()["difficulty"] == 10.0
    listed = (await gateway.http.get("/v1/problems")).json()
    assert (listed["total"], listed["problems"][0]["problem_id"]) == (2, problem_id)
    named = await gateway.http.get(f"/v1/problems/{problem_id}")
    assert named.json()["group"] == "d"
    other = PlanningDomain([], tmp_path / "problems")
    assert json.loads(other.task(problem_id, "(a)").work)["steps"] == [["a"]]
    assert (await gateway.http.get("/v1/problems/none")).status_code == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"problem": _PROBLEM[:-1]}, "bad_pddl"),
        ({"problem": _PROBLEM.replace("(:domain d)", "")}, "no_domain"),
        ({"problem": _PROBLEM.replace("(:domain d)", "(:domain e)")}, "wrong_domain"),
        ({"domain": "(" * 100}, "too_deep"),
        ({"name": "../x"}, "invalid_request"),
    ],
)
async def test_an_upload_that_cannot_be_read(
    open_gateway: OpenGateway, tmp_path: Path, change: dict[str, str], code: str
) -> None:
    """It is refused with a code and is not kept."""
    gateway = await open_gateway(domains=(PlanningDomain([], tmp_path / "problems"),))
    body = {"domain": _DOMAIN, "problem": _PROBLEM} | change
    answer = await gateway.http.put("/v1/problems", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not (tmp_path / "problems").exists()


def test_a_client_that_passes_over_unknown_keys_keeps_a_domains_metrics() -> None:
    """They are not taken for traffic's, of which none was named; nor the other way round."""
    plan, named = {"goals_share": 0.5, "steps": 2}, {"wait_s": 9.0, "series": None}
    for metrics, kind in ((plan, DomainMetrics), (named, NamedMetrics)):
        said = {"id": None, "status": "scored", "reward": 1.0, "metrics": metrics}
        result = ScoreResult.model_validate_json(json.dumps(said), extra="ignore")
        assert isinstance(result.metrics, kind)
        assert json.loads(result.model_dump_json())["metrics"] == metrics


def test_ids_lead_nowhere_else(tmp_path: Path) -> None:
    """An id with a path in it is unknown."""
    (tmp_path / "secret.json").write_text("{}")
    planning = PlanningDomain(list[ProblemText](), tmp_path / "problems")
    with pytest.raises(UnknownProblem):
        planning.task("../secret", "(a)")


@pytest.mark.parametrize("name", ["traffic", "custom", "planning"])
def test_names_that_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package's domain may not be called as another, or as users' own metrics are."""
    kind = type("Other", (Lengths,), {"name": name})
    entry = SimpleNamespace(name=name, value="other:Other", load=lambda: kind)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    with pytest.raises(ConfigError, match=f"a second domain called {name}"):
        registry.domain_kinds()
