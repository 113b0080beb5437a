"""``POST /v1/score``: what becomes of items."""

import asyncio
import math
from typing import Any

import pytest

from shared.errors import DeadlineExceeded, RolloutRejected, WorkerLost
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import (
    GREEN,
    OTHER_GREEN,
    YELLOW,
    let_time_pass,
    make_metrics,
    says_no,
)

YES = {"decision": {"kind": "extend", "extend": True}}
NO = {"decision": {"kind": "extend", "extend": False}}


def completion(text: str) -> dict[str, Any]:
    """An item that holds a model's text."""
    return {"decision_kind": "extend", "completion": text}


async def test_rewards_are_the_formula_of_the_metrics(gateway: Gateway) -> None:
    """A yes with queue 2 against a reference of 5 gains 3 of 8, a no with 9 loses 4 of 15."""
    body = await gateway.scored(YES, NO)
    assert [r["reward"] for r in body["results"]] == [3 / 8, -4 / 15]


async def test_results_keep_the_order_and_ids_of_the_items(gateway: Gateway) -> None:
    """Whatever happens to an item, its result stands at its place, with its id."""
    body = await gateway.scored(
        {"id": "a", **YES}, {"id": 7, **completion("?")}, {"id": None, **NO}, {"id": "a", **NO}
    )
    assert [r["id"] for r in body["results"]] == ["a", 7, None, "a"]
    assert [r["status"] for r in body["results"]] == ["scored", "invalid", "scored", "scored"]


async def test_queue_reward_needs_no_reference(gateway: Gateway) -> None:
    """The plain queue is one rollout, not two."""
    body = await gateway.scored(YES, reward={"name": "queue"})
    assert (body["results"][0]["reward"], body["counts"]["rollouts"]) == (-2.0, 1)


async def test_completion_scores_like_its_decision(gateway: Gateway) -> None:
    """Text and JSON of the same decision are the same work."""
    body = await gateway.scored(YES, completion('Sure: {"extend": "yes"}'))
    first, second = body["results"]
    assert first == second
    assert body["counts"]["rollouts"] == 2


async def test_equal_items_of_a_request_run_once(gateway: Gateway) -> None:
    """Eight answers of yes or no are two rollouts and one reference."""
    body = await gateway.scored(*[YES, NO] * 4)
    assert body["counts"] == {"scored": 8, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 3}
    assert set(gateway.runner.runs.values()) == {1}


async def test_second_request_is_cached(gateway: Gateway) -> None:
    """What was scored once is not rolled out again, and gives the same number."""
    first = await gateway.scored(YES, NO)
    second = await gateway.scored(YES, NO)
    assert second["counts"] == {"scored": 2, "invalid": 0, "failed": 0, "cached": 2, "rollouts": 0}
    assert [r["reward"] for r in first["results"]] == [r["reward"] for r in second["results"]]


async def test_item_is_cached_only_if_its_reference_is(gateway: Gateway) -> None:
    """A known rollout with an unknown reference still takes a rollout."""
    await gateway.scored(YES, reward={"name": "queue"})
    body = await gateway.scored(YES)
    assert body["counts"] == {"scored": 1, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 1}


async def test_outcomes_survive_a_restart(open_gateway: OpenGateway) -> None:
    """Another gateway on the same ledger rolls nothing out."""
    before = await (await open_gateway()).scored(YES)
    reopened = await open_gateway()
    after = await reopened.scored(YES)
    assert after["results"][0]["reward"] == before["results"][0]["reward"]
    assert (after["counts"]["cached"], reopened.runner.runs.total()) == (1, 0)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no idea", "no_json"),
        ('{"extend": "perhaps"}', "wrong_value"),
        ('{"hold": "yes"}', "wrong_keys"),
        ('{"extend": "yes"} {"extend": "no"}', "several_answers"),
    ],
)
async def test_text_without_a_decision_is_invalid(gateway: Gateway, text: str, code: str) -> None:
    """It gets the invalid reward and a code, and costs no rollout."""
    body = await gateway.scored(completion(text), reward={"invalid_reward": -0.5})
    (result,) = body["results"]
    assert (result["status"], result["reward"], result["decision"]) == ("invalid", -0.5, None)
    assert result["error"]["code"] == code
    assert body["counts"] == {"scored": 0, "invalid": 1, "failed": 0, "cached": 0, "rollouts": 0}


async def test_illegal_decision_is_invalid_and_shown(gateway: Gateway) -> None:
    """Where no green runs there is nothing to extend."""
    body = await gateway.scored({"state_id": YELLOW, **YES})
    (result,) = body["results"]
    assert (result["status"], result["error"]["code"]) == ("invalid", "not_green")
    assert result["decision"] == {"kind": "extend", "extend": True, "extend_s": 5}


async def test_series_only_if_asked_for(gateway: Gateway) -> None:
    """It is recorded either way, so it is there when a cached item asks for it."""
    plain = await gateway.scored(YES)
    full = await gateway.scored(YES, series=True)
    assert plain["results"][0]["metrics"]["series"] is None
    assert full["results"][0]["metrics"]["series"] == [1, 2, 3]
    assert full["counts"]["cached"] == 1


async def test_failure_fails_only_its_items(gateway: Gateway) -> None:
    """A lost rollout is null with a code; the others keep their numbers."""

    def lose_no(rollout: Rollout) -> Metrics | None:
        if says_no(rollout):
            raise WorkerLost("gone")
        return None

    gateway.runner.fail = lose_no
    body = await gateway.scored(YES, NO)
    good, bad = body["results"]
    assert (good["status"], good["reward"]) == ("scored", 3 / 8)
    assert (bad["status"], bad["reward"], bad["metrics"]) == ("failed", None, None)
    assert bad["error"] == {"code": "worker_lost", "message": "gone", "retryable": True}
    assert body["counts"] == {"scored": 1, "invalid": 0, "failed": 1, "cached": 0, "rollouts": 3}


async def test_lost_reference_fails_what_compares_with_it(gateway: Gateway) -> None:
    """No reward is made up without its reference."""

    def lose_reference(rollout: Rollout) -> Metrics | None:
        if not rollout.signal_decisions:
            raise RolloutRejected("no")
        return None

    gateway.runner.fail = lose_reference
    body = await gateway.scored(YES, NO)
    assert [r["reward"] for r in body["results"]] == [None, None]
    assert {r["error"]["code"] for r in body["results"]} == {"rollout_rejected"}


async def test_failure_is_not_remembered(gateway: Gateway) -> None:
    """The same item is scored when it is sent again."""

    def lose(rollout: Rollout) -> Metrics | None:
        raise WorkerLost("gone")

    gateway.runner.fail = lose
    assert (await gateway.scored(YES))["counts"]["failed"] == 1
    gateway.runner.fail = lambda rollout: None
    assert (await gateway.scored(YES))["counts"]["scored"] == 1


@pytest.mark.parametrize("queue_veh", [math.nan, math.inf])
async def test_number_that_is_none_fails_and_is_not_recorded(
    gateway: Gateway, queue_veh: float
) -> None:
    """Neither NaN nor infinity reaches a caller or the ledger."""
    bad = make_metrics(0).model_copy(update={"queue_veh": queue_veh})
    gateway.runner.fail = lambda rollout: bad
    response = await gateway.score(YES)
    (result,) = response.json()["results"]
    assert (result["reward"], result["error"]["code"]) == (None, "not_finite")
    assert "NaN" not in response.text
    gateway.runner.fail = lambda rollout: None
    assert (await gateway.scored(YES))["counts"]["cached"] == 0


async def test_concurrent_requests_share_rollouts(gateway: Gateway) -> None:
    """Ten callers that want the same make two rollouts, counted where they were started."""
    gateway.runner.gate.clear()
    asked = [asyncio.create_task(gateway.scored(YES)) for _ in range(10)]
    await gateway.runner.has_begun(2)
    gateway.runner.gate.set()
    bodies = await asyncio.gather(*asked)
    assert gateway.runner.runs.total() == 2
    assert sum(body["counts"]["rollouts"] for body in bodies) == 2
    assert {body["results"][0]["reward"] for body in bodies} == {3 / 8}


async def test_deadline_is_504_where_nothing_was_done(gateway: Gateway) -> None:
    """The problem says so, and that a retry can help."""
    gateway.runner.gate.clear()
    response = await gateway.score(YES, timeout_s=0.01)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert response.json()["retryable"] is True


async def test_deadline_fails_what_is_late_and_keeps_what_is_done(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial answer: known outcomes count, the late item is null."""
    await gateway.scored(YES)
    gateway.runner.gate.clear()
    late = {"state_id": OTHER_GREEN, **YES}
    waiting = asyncio.create_task(gateway.scored(YES, late, timeout_s=60))
    await gateway.runner.has_begun(4)
    let_time_pass(monkeypatch, 61)
    body = await waiting
    assert [r["status"] for r in body["results"]] == ["scored", "failed"]
    assert body["results"][1]["error"]["code"] == "deadline_exceeded"


async def test_deadline_ends_the_rollout(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes on computing what nobody waits for."""
    gateway.runner.gate.clear()
    hurried = asyncio.create_task(gateway.score(YES, timeout_s=60))
    await gateway.runner.has_begun(2)
    let_time_pass(monkeypatch, 61)
    await hurried
    await gateway.services.single_flight.close()
    assert gateway.runner.ended == 2
    assert max(gateway.runner.limits_s) <= 60


async def test_longer_deadline_outlives_the_call_it_joined(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever joined a hurried caller's rollout has it begun again."""
    gateway.runner.gate.clear()
    hurried = asyncio.create_task(gateway.score(YES, timeout_s=60))
    await gateway.runner.has_begun(2)
    patient = asyncio.create_task(gateway.scored(YES, timeout_s=600))
    await asyncio.sleep(0.1)  # it joins
    let_time_pass(monkeypatch, 61)
    assert (await hurried).status_code == 504
    gateway.runner.gate.set()
    body = await patient
    assert (body["results"][0]["reward"], body["counts"]["rollouts"]) == (3 / 8, 2)


async def test_runner_that_gives_up_early_is_not_asked_for_ever(gateway: Gateway) -> None:
    """A deadline error of the runner itself is the answer."""

    def late(rollout: Rollout) -> Metrics | None:
        raise DeadlineExceeded("no")

    gateway.runner.fail = late
    response = await gateway.score(YES, completion("?"), timeout_s=30)
    assert [r["status"] for r in response.json()["results"]] == ["failed", "invalid"]
    assert gateway.runner.runs.total() == 2


async def test_metrics_and_restore_come_with_a_scored_item(gateway: Gateway) -> None:
    """A result says what was observed and how the state was brought back."""
    body = await gateway.scored({"state_id": GREEN, **YES})
    (result,) = body["results"]
    assert result["metrics"]["queue_veh"] == 2.0
    assert (result["restore"], body["simulator"]["name"]) == ("state", "sumo")
