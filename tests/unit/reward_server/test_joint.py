"""Decisions at several signals at once, and decisions of every kind."""

from typing import Any

import pytest

from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import GRID, make_grid

YES: dict[str, Any] = {"kind": "extend", "extend": True, "extend_s": 5}
NO: dict[str, Any] = {"kind": "extend", "extend": False, "extend_s": 5}
PHASE: dict[str, Any] = {"kind": "phase", "next_phase": 2, "green_s": 20}
CYCLE: dict[str, Any] = {
    "kind": "cycle",
    "greens": [{"phase": 0, "green_s": 30}, {"phase": 2, "green_s": 20}],
}
PLAN: dict[str, Any] = {
    "kind": "plan",
    "steps": [{"extend": True}, {"extend": False}],
    "extend_s": 5,
}


@pytest.fixture
async def grid(open_gateway: OpenGateway) -> Gateway:
    """A gateway that serves one state with three signals."""
    return await open_gateway(StateStore([make_grid()]))


async def post(grid: Gateway, *items: dict[str, Any], **terms: Any) -> dict[str, Any]:  # noqa: ANN401
    """Scores items on the grid as they are."""
    body = {"items": [{"state_id": GRID} | item for item in items]} | terms
    response = await grid.http.post("/v1/score", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_decisions_at_several_signals_are_one_rollout(grid: Gateway) -> None:
    """Carried out and watched together, in the order of the signals' ids."""
    body = await post(grid, {"id": 1, "decisions": {"A1": NO, "A0": YES}}, reward={"name": "queue"})
    (result,) = body["results"]
    (rollout,) = grid.runner.runs
    assert rollout.observe == ("A0", "A1")
    assert [one.tls_id for one in rollout.signal_decisions] == ["A0", "A1"]
    assert (result["reward"], result["id"]) == (-11.0, 1)
    assert (result["decision"], result["decisions"]) == (None, {"A0": YES, "A1": NO})


async def test_order_of_the_signals_does_not_matter(grid: Gateway) -> None:
    """The same decisions are the same work."""
    one, other = {"A0": YES, "A1": NO}, {"A1": NO, "A0": YES}
    body = await post(grid, {"decisions": one}, {"decisions": other})
    assert body["counts"]["rollouts"] == 2
    assert body["results"][0] == body["results"][1]


async def test_one_decision_among_decisions_is_the_decision(grid: Gateway) -> None:
    """Two ways to say the same are the same work."""
    body = await post(grid, {"decisions": {"A0": YES}}, {"tls_id": "A0", "decision": YES})
    joint, single = body["results"]
    assert joint["reward"] == single["reward"]
    assert body["counts"]["rollouts"] == 2


async def test_illegal_decision_among_others_makes_the_item_invalid(grid: Gateway) -> None:
    """The message says at which signal."""
    (result,) = (await post(grid, {"decisions": {"A0": YES, "B0": NO}}))["results"]
    assert (result["status"], result["error"]["code"]) == ("invalid", "not_green")
    assert "B0" in result["error"]["message"]
    assert result["decisions"] == {"A0": YES, "B0": NO}
    assert not grid.runner.runs


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"tls_id": "A0", "decisions": {"A0": YES}}, "tls_id is not allowed with decisions"),
        ({"decision": YES}, "needs a tls_id"),
        ({"decision_kind": "extend", "completion": "x"}, "needs a tls_id"),
        ({"decisions": {"A0": YES}, "decision": NO}, "exactly one of"),
        ({"decisions": {"A0": YES}, "decision_kind": "extend"}, "decision_kind is not allowed"),
        ({"decisions": {}}, "at least 1 item"),
        ({"decisions": {f"s{i}": YES for i in range(65)}}, "at most 64 items"),
    ],
)
async def test_contradictory_item_is_422(grid: Gateway, item: dict[str, Any], said: str) -> None:
    """The problem says what does not go together."""
    response = await grid.http.post("/v1/score", json={"items": [{"state_id": GRID} | item]})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert said in response.json()["detail"]


@pytest.mark.parametrize(
    ("decision", "code", "place"),
    [
        ({"kind": "hold"}, "unknown_decision_kind", "items[0].decisions.A0.kind: Input should be"),
        ({"extend": 1}, "invalid_request", "items[0].decisions.A0.extend: "),
        ({"kind": "phase", "green_s": 9}, "invalid_request", "items[0].decisions.A0.next_phase: "),
    ],
)
async def test_wrong_decision_among_others_is_placed(
    grid: Gateway, decision: dict[str, Any], code: str, place: str
) -> None:
    """By item, signal and field."""
    item = {"state_id": GRID, "decisions": {"A0": decision}}
    problem = (await grid.http.post("/v1/score", json={"items": [item]})).json()
    assert problem["code"] == code
    assert problem["detail"].startswith(place)
    assert ";" not in problem["detail"]


async def test_unknown_signal_among_others_is_404(grid: Gateway) -> None:
    """It is named."""
    item = {"state_id": GRID, "decisions": {"A0": YES, "Z9": NO}}
    response = await grid.http.post("/v1/score", json={"items": [item]})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_signal")
    assert "Z9" in response.json()["detail"]


@pytest.mark.parametrize("decision", [YES, PHASE, CYCLE, PLAN], ids=lambda d: str(d["kind"]))
async def test_every_kind_is_scored_and_echoed(grid: Gateway, decision: dict[str, Any]) -> None:
    """As JSON, at one signal and among several."""
    body = await post(
        grid, {"tls_id": "A0", "decision": decision}, {"decisions": {"A0": decision, "A1": YES}}
    )
    single, joint = body["results"]
    assert [single["status"], joint["status"]] == ["scored", "scored"]
    assert single["decision"] == joint["decisions"]["A0"] == decision


@pytest.mark.parametrize(
    ("kind", "text", "decision"),
    [
        ("extend", '{"extend": "yes"}', YES),
        ("phase", '{"next_phase_id": 2, "green_sec": 20}', PHASE),
        ("cycle", '[{"phase_id": 0, "final": 30}, {"phase_id": 2, "final": 20}]', CYCLE),
        ("plan", '["yes", "no"]', PLAN),
    ],
)
async def test_text_of_every_kind_is_the_same_work_as_its_json(
    grid: Gateway, kind: str, text: str, decision: dict[str, Any]
) -> None:
    """One rollout and one reference for both."""
    asked = {"tls_id": "A0", "decision_kind": kind, "completion": text}
    body = await post(grid, asked, {"tls_id": "A0", "decision": decision})
    assert body["results"][0] == body["results"][1]
    assert body["counts"]["rollouts"] == 2
