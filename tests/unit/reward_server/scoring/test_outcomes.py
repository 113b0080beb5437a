"""``GET /v1/states/{state_id}/outcomes``: what is enumerated, how it is ranked, what can fail."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_server.auth.callers import ANYONE
from reward_server.scoring.outcomes import standings
from shared.errors import RolloutCrashed
from shared.legality import legal_decisions
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import (
    GREEN,
    GRID,
    YELLOW,
    make_grid,
    make_metrics,
    make_state,
    says_no,
)

_REWARDS = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=20)


async def ask(gateway: Gateway, state_id: str = GREEN, **query: Any) -> httpx.Response:  # noqa: ANN401
    """The answer as it comes."""
    return await gateway.http.get(f"/v1/states/{state_id}/outcomes", params=query)


async def explored(gateway: Gateway, state_id: str = GREEN, **query: Any) -> dict[str, Any]:  # noqa: ANN401
    """The answer where it is 200."""
    response = await ask(gateway, state_id, **query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@given(_REWARDS)
def test_regret_and_rank_agree_with_the_rewards(rewards: list[float]) -> None:
    """No regret is negative, it is 0 exactly of the best, and ranks count who is better."""
    places = standings(rewards)
    for reward, place in zip(rewards, places, strict=True):
        assert place.regret >= 0
        assert (place.regret == 0) == (reward == max(rewards)) == (place.rank == 1)
        assert place.rank == 1 + sum(other > reward for other in rewards)


@given(_REWARDS, st.randoms(use_true_random=False))
def test_standing_does_not_depend_on_the_order(rewards: list[float], random: Any) -> None:  # noqa: ANN401
    """Who is listed first is not better for it."""
    shuffled = list(rewards)
    random.shuffle(shuffled)
    by_reward = dict(zip(shuffled, standings(shuffled), strict=True))
    assert [by_reward[reward] for reward in rewards] == standings(rewards)


async def test_extend_is_compared_with_its_opposite(gateway: Gateway) -> None:
    """A yes gains 3/8, a no loses 4/15; the program left alone is 0."""
    body = await explored(gateway)
    yes, no = body["outcomes"]
    assert yes["decision"] == body["best"] == {"kind": "extend", "extend": True, "extend_s": 5}
    assert (yes["reward"], yes["regret"], yes["rank"]) == (3 / 8, 0.0, 1)
    assert (no["reward"], no["regret"], no["rank"]) == (-4 / 15, 3 / 8 + 4 / 15, 2)
    assert (body["reference"]["reward"], body["reference"]["metrics"]["queue_veh"]) == (0.0, 5.0)
    assert (body["tls_id"], body["kind"], body["restore"]) == ("C", "extend", "state")
    assert body["reward"]["name"] == "queue_gain"
    assert body["counts"] == {"scored": 2, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 3}


@pytest.mark.parametrize("kind", ["extend", "phase", "cycle", "plan"])
async def test_every_legal_decision_is_there(gateway: Gateway, kind: Any) -> None:  # noqa: ANN401
    """Each once, the best first, with the regret against it."""
    body = await explored(gateway, kind=kind, extend_s=10)
    state = make_state(GREEN)
    legal = legal_decisions(kind, state.signal("C"), state.record.signals["C"], 10)
    shown = [outcome["decision"] for outcome in body["outcomes"]]
    assert sorted(map(repr, shown)) == sorted(repr(d.model_dump(mode="json")) for d in legal)
    rewards = [outcome["reward"] for outcome in body["outcomes"]]
    assert rewards == sorted(rewards, reverse=True)
    assert [o["regret"] for o in body["outcomes"]] == [rewards[0] - r for r in rewards]


async def test_equal_rewards_share_a_rank(gateway: Gateway) -> None:
    """In the order in which decisions are enumerated; the first of them is named the best."""
    gateway.runner.fail = lambda rollout: make_metrics(1.0)
    body = await explored(gateway, kind="plan")
    assert {outcome["rank"] for outcome in body["outcomes"]} == {1}
    assert body["best"]["steps"] == [{"extend": True}] * 3


async def test_outcomes_are_those_of_scoring(gateway: Gateway) -> None:
    """The same work, so that whoever asks second finds it on record."""
    await explored(gateway)
    item = {"decision": {"kind": "extend", "extend": True}}
    body = await gateway.scored(item)
    assert (body["counts"]["cached"], body["results"][0]["reward"]) == (1, 3 / 8)
    again = await explored(gateway)
    assert (again["counts"]["cached"], again["counts"]["rollouts"]) == (2, 0)


async def test_all_rollouts_are_handed_over_at_once(gateway: Gateway) -> None:
    """So that they make one visit to one holder."""
    gateway.runner.gate.clear()
    asked = asyncio.create_task(explored(gateway, kind="phase"))
    await gateway.runner.has_begun(12)
    begun = gateway.runner.runs.total()
    gateway.runner.gate.set()
    body = await asked
    assert begun == len(body["outcomes"]) + 1


@pytest.mark.parametrize("reward", ["queue", "wait", "pressure"])
async def test_reference_is_rolled_out_under_every_reward(gateway: Gateway, reward: str) -> None:
    """Its reward is the same formula's."""
    body = await explored(gateway, reward=reward, horizon_s=30, follow_up="max_pressure")
    expected = {"queue": -5.0, "wait": -3.5, "pressure": -0.5}[reward]
    assert body["reference"]["reward"] == expected
    assert {rollout.horizon_s for rollout in gateway.runner.runs} == {30}
    assert {t.follow_up for t in gateway.runner.runs if t.signal_decisions} == {"max_pressure"}


async def test_failure_is_listed_last_and_not_ranked(gateway: Gateway) -> None:
    """The others are ranked without it."""

    def lose_no(rollout: Rollout) -> Metrics | None:
        if says_no(rollout):
            raise RolloutCrashed("gone")
        return None

    gateway.runner.fail = lose_no
    body = await explored(gateway)
    yes, no = body["outcomes"]
    assert (yes["rank"], yes["regret"]) == (1, 0.0)
    assert (no["status"], no["reward"], no["regret"], no["rank"]) == ("failed", None, None, None)
    assert no["error"]["code"] == "rollout_crashed"
    assert body["counts"]["failed"] == 1


async def test_nothing_is_best_where_all_failed(gateway: Gateway) -> None:
    """Speed is undefined on an empty road; the metrics of the reference are told all the same."""
    body = await explored(gateway, reward="speed")
    assert body["best"] is None
    assert {outcome["error"]["code"] for outcome in body["outcomes"]} == {"undefined_metric"}
    assert body["reference"]["error"]["code"] == "undefined_metric"
    assert body["reference"]["metrics"]["queue_veh"] == 5.0


async def test_deadline_is_504_where_nothing_was_done(gateway: Gateway) -> None:
    """As in scoring."""
    gateway.runner.gate.clear()
    response = await ask(gateway, timeout_s=0.01)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


async def test_full_service_is_503(open_gateway: OpenGateway) -> None:
    """Exploring is work like scoring."""
    gateway = await open_gateway(max_items=2, max_pending_items=2)
    with gateway.services.admission.admitted(ANYONE, 1):
        response = await ask(gateway)
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")


async def test_more_decisions_than_a_request_may_hold_are_422(open_gateway: OpenGateway) -> None:
    """They would never be admitted, so no time to come back is named."""
    gateway = await open_gateway(max_items=2, max_pending_items=2)
    assert (await ask(gateway, kind="extend")).status_code == 200
    response = await ask(gateway, kind="plan")
    assert (response.status_code, response.json()["code"]) == (422, "too_many_items")


@pytest.mark.parametrize(
    ("state_id", "query", "status", "code"),
    [
        ("nowhere@1-ffffffffffff", {}, 404, "unknown_state"),
        (GREEN, {"tls_id": "Z9"}, 404, "unknown_signal"),
        (YELLOW, {}, 422, "not_green"),
        (YELLOW, {"kind": "phase", "tls_id": "C"}, 422, "not_green"),
        (GREEN, {"kind": "hold"}, 422, "unknown_decision_kind"),
        (GREEN, {"reward": "luck"}, 422, "unknown_reward"),
        (GREEN, {"reward": "sum"}, 422, "unknown_reward"),
        (GREEN, {"horizon_s": 0}, 422, "invalid_request"),
        (GREEN, {"extend_s": "x"}, 422, "invalid_request"),
        (GREEN, {"colour": "red"}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_explored_is_refused(
    gateway: Gateway, state_id: str, query: dict[str, Any], status: int, code: str
) -> None:
    """With the code that says why, and nothing is rolled out."""
    response = await ask(gateway, state_id, **query)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not gateway.runner.runs


async def test_cycle_can_be_decided_at_a_yellow(gateway: Gateway) -> None:
    """It is about the greens to come."""
    assert (await explored(gateway, YELLOW, kind="cycle"))["best"]["kind"] == "cycle"


async def test_signal_must_be_named_where_several_can_be_decided(
    open_gateway: OpenGateway,
) -> None:
    """The problem names them, and not the one at a yellow."""
    gateway = await open_gateway(StateStore([make_grid()]))
    response = await ask(gateway, GRID)
    assert (response.status_code, response.json()["code"]) == (422, "tls_id_needed")
    assert response.json()["detail"].endswith("these can be decided: A0, A1")
    assert (await explored(gateway, GRID, tls_id="A1"))["tls_id"] == "A1"


async def test_metrics_page_counts_outcomes_as_items(gateway: Gateway) -> None:
    """With their rollouts."""
    await explored(gateway)
    page = (await gateway.http.get("/metrics")).text.splitlines()
    assert 'greenfork_items_total{code="",status="scored"} 2.0' in page
    assert "greenfork_rollouts_total 3.0" in page
