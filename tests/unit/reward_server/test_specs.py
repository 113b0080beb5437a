"""``POST /v1/score`` under every reward: names, sums, seeds, and who follows a decision up."""

import dataclasses
import math
from typing import Any

import pytest

from shared.errors import RolloutCrashed
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import GREEN, make_metrics, make_state, queue_of, says_no

YES: dict[str, Any] = {"decision": {"kind": "extend", "extend": True}}
NO: dict[str, Any] = {"decision": {"kind": "extend", "extend": False}}


def moving(rollout: Rollout) -> Metrics:
    """The fake runner's metrics, of vehicles that move."""
    return make_metrics(queue_of(rollout), speed_mps=6.5)


def of(**reward: Any) -> dict[str, Any]:  # noqa: ANN401  JSON values
    """The terms of a request."""
    return {"reward": reward}


@pytest.mark.parametrize(
    ("reward", "value"),
    [
        ({"name": "queue"}, -2.0),
        ({"name": "queue_gain"}, 3 / 8),
        ({"name": "wait"}, -3.5),
        ({"name": "pressure"}, -0.5),
        ({"name": "speed"}, 6.5),
        ({"name": "delay"}, -7.25),
        ({"name": "sum", "terms": {"queue_gain": 2.0, "pressure": 0.5, "speed": 0.1}}, 1.15),
    ],
)
async def test_every_reward_is_its_formula(
    gateway: Gateway, reward: dict[str, Any], value: float
) -> None:
    """Of the same metrics: queue 2 against 5, wait 3.5, pressure 0.5, speed 6.5, delay 7.25."""
    gateway.runner.fail = moving
    (result,) = (await gateway.scored(YES, **of(**reward)))["results"]
    assert result["reward"] == pytest.approx(value, abs=1e-15)
    assert (result["seeds"], result["reward_stderr"]) == (None, None)


async def test_another_reward_of_the_same_rollout_runs_nothing(gateway: Gateway) -> None:
    """The ledger keeps metrics, and every reward is made of them."""
    gateway.runner.fail = moving
    await gateway.scored(YES)
    for name in ("queue", "wait", "pressure", "speed", "delay"):
        counts = (await gateway.scored(YES, **of(name=name)))["counts"]
        assert (counts["cached"], counts["rollouts"]) == (1, 0)


@pytest.mark.parametrize("reward", [{"name": "speed"}, {"name": "sum", "terms": {"speed": 0.0}}])
async def test_speed_of_an_empty_road_fails_its_item(
    gateway: Gateway, reward: dict[str, Any]
) -> None:
    """It is neither 0 nor anything else, and no retry can help."""
    (result,) = (await gateway.scored(YES, **of(**reward)))["results"]
    assert (result["status"], result["reward"]) == ("failed", None)
    assert (result["error"]["code"], result["error"]["retryable"]) == ("undefined_metric", False)
    assert "speed_mps" in result["error"]["message"]


def without_delay(rollout: Rollout) -> Metrics:
    """The fake runner's metrics, as they were recorded before there was a delay."""
    return make_metrics(queue_of(rollout), delay_veh=None)


_NEEDING_DELAY = [
    of(name="delay"),
    of(name="sum", terms={"queue": 1.0, "delay": 0.0}),
    of(name="queue") | {"metrics": ["delay_veh", "queue_veh"]},
]


@pytest.mark.parametrize("terms", _NEEDING_DELAY)
async def test_what_was_recorded_without_delay_is_rolled_out_again(
    open_gateway: OpenGateway, terms: dict[str, Any]
) -> None:
    """Where the reward or a named metric needs it, and once; never is another number told."""
    old, new = await open_gateway(), await open_gateway()
    old.runner.fail = without_delay
    await old.scored(YES, **of(name="queue"))
    answer = await new.scored(YES, **terms)
    again = await (await open_gateway()).scored(YES, **terms)
    assert (answer["counts"]["rollouts"], answer["counts"]["scored"]) == (1, 1)
    assert (again["counts"]["rollouts"], again["counts"]["cached"]) == (0, 1)
    (result,), (told_again,) = answer["results"], again["results"]
    assert result | {"cached": True} == told_again
    assert result["metrics"]["delay_veh"] == 7.25


async def test_what_was_recorded_without_delay_answers_others(open_gateway: OpenGateway) -> None:
    """From the record, and says null of it: it was not recorded."""
    old, new = await open_gateway(), await open_gateway()
    old.runner.fail = without_delay
    await old.scored(YES)
    answer = await new.scored(YES)
    assert (answer["counts"]["rollouts"], answer["counts"]["cached"]) == (0, 1)
    assert answer["results"][0]["metrics"]["delay_veh"] is None


async def test_outcomes_ranked_by_delay_are_complete(open_gateway: OpenGateway) -> None:
    """The legal decisions and the program left alone, where all are on record without it."""
    old, new = await open_gateway(), await open_gateway()
    old.runner.fail = without_delay
    url = f"/v1/states/{GREEN}/outcomes"
    await old.http.get(url, params={"reward": "queue"})
    body = (await new.http.get(url, params={"reward": "delay"})).json()
    assert [one["reward"] for one in body["outcomes"]] == [-7.25] * 2
    assert (body["reference"]["reward"], body["counts"]["rollouts"]) == (-7.25, 3)


async def test_sum_that_is_no_number_fails_its_item(gateway: Gateway) -> None:
    """Huge weights leave the range of numbers; the answer stays JSON."""
    reward = {"name": "sum", "terms": {"queue": 1e308, "wait": -1e308}}
    (result,) = (await gateway.scored(NO, **of(**reward)))["results"]
    assert (result["reward"], result["error"]["code"]) == (None, "not_finite")


@pytest.mark.parametrize(
    ("reward", "code"),
    [
        ({"name": "sum"}, "invalid_request"),
        ({"name": "queue", "terms": {"queue": 1}}, "invalid_request"),
        ({"name": "sum", "terms": {}}, "invalid_request"),
        ({"name": "sum", "terms": {"luck": 1}}, "unknown_reward"),
        ({"name": "sum", "terms": {"sum": 1}}, "unknown_reward"),
        ({"seeds": []}, "invalid_request"),
        ({"seeds": [1, 1]}, "invalid_request"),
        ({"seeds": [-1]}, "invalid_request"),
        ({"follow_up": "luck"}, "invalid_request"),
    ],
)
async def test_reward_that_makes_no_sense_is_422(
    gateway: Gateway, reward: dict[str, Any], code: str
) -> None:
    """Before anything is rolled out."""
    response = await gateway.score(YES, **of(**reward))
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["detail"].startswith("reward")
    assert not gateway.runner.runs


async def test_seeds_are_averaged(gateway: Gateway) -> None:
    """Each seed's reward is told, with the mean and its standard error."""
    (result,) = (await gateway.scored(YES, **of(name="queue", seeds=[1, 2, 3])))["results"]
    assert result["seeds"] == [
        {"seed": 1, "reward": -3.0},
        {"seed": 2, "reward": -4.0},
        {"seed": 3, "reward": -5.0},
    ]
    assert result["reward"] == -4.0
    assert result["reward_stderr"] == pytest.approx(1 / math.sqrt(3))
    assert result["metrics"]["queue_veh"] == 4.0
    assert result["metrics"]["queue_veh_max"] == 5.0


async def test_reference_has_the_seed_of_the_decision(gateway: Gateway) -> None:
    """Seed 1 compares 3 with 6, seed 2 compares 4 with 7."""
    body = await gateway.scored(YES, **of(seeds=[1, 2]))
    rewards = [one["reward"] for one in body["results"][0]["seeds"]]
    assert rewards == [3 / 10, 3 / 12]
    assert body["counts"]["rollouts"] == 4


async def test_series_stands_under_one_seed_only(gateway: Gateway) -> None:
    """There is no such thing as a mean series."""
    one = await gateway.scored(YES, series=True, **of(seeds=[1]))
    two = await gateway.scored(YES, series=True, **of(seeds=[1, 2]))
    assert one["results"][0]["metrics"]["series"] == [1, 2, 3]
    assert one["results"][0]["reward_stderr"] is None
    assert two["results"][0]["metrics"]["series"] is None


async def test_one_lost_seed_fails_the_item(gateway: Gateway) -> None:
    """There is never a mean over fewer seeds than were asked for; the others are kept."""

    def lose_second(rollout: Rollout) -> Metrics | None:
        if rollout.reseed == 2 and says_no(rollout):
            raise RolloutCrashed("gone")
        return None

    gateway.runner.fail = lose_second
    body = await gateway.scored(YES, NO, **of(name="queue", seeds=[1, 2]))
    good, bad = body["results"]
    assert (good["status"], bad["status"]) == ("scored", "failed")
    assert (bad["reward"], bad["seeds"], bad["metrics"]) == (None, None, None)
    assert bad["error"]["code"] == "rollout_crashed"
    gateway.runner.fail = lambda rollout: None
    again = await gateway.scored(NO, **of(name="queue", seeds=[1, 2]))
    assert (again["counts"]["scored"], again["counts"]["rollouts"]) == (1, 1)


@pytest.mark.parametrize(
    ("restore", "seeds", "said"),
    [
        ("state", None, "state"),
        ("state", [1], "state"),
        ("replay", None, "replay"),
        ("replay", [1], "unverified"),
        ("unverified", [1], "unverified"),
    ],
)
async def test_new_seeds_start_from_the_state_file(
    open_gateway: OpenGateway, restore: str, seeds: list[int] | None, said: str
) -> None:
    """A state that its file does not continue exactly is then brought back unproven."""
    state = make_state(GREEN)
    record = state.record.model_copy(update={"restore": restore})
    gateway = await open_gateway(StateStore([dataclasses.replace(state, record=record)]))
    (result,) = (await gateway.scored(YES, **of(seeds=seeds)))["results"]
    assert result["restore"] == said


async def test_item_counts_once_a_seed(open_gateway: OpenGateway) -> None:
    """Limits bound the work, which seeds multiply."""
    gateway = await open_gateway(max_items=4)
    assert (await gateway.score(YES, NO, **of(seeds=[1, 2]))).status_code == 200
    response = await gateway.score(YES, NO, **of(seeds=[1, 2, 3]))
    assert (response.status_code, response.json()["code"]) == (422, "too_many_items")
    assert "3 seeds" in response.json()["detail"]


async def test_follow_up_is_passed_on_and_not_to_the_reference(gateway: Gateway) -> None:
    """Max-pressure control takes a vehicle off the queue of 2; the reference stays at 5."""
    (result,) = (await gateway.scored(YES, **of(follow_up="max_pressure")))["results"]
    assert result["reward"] == 4 / 7
    follow_ups = {bool(t.signal_decisions): t.follow_up for t in gateway.runner.runs}
    assert follow_ups == {True: "max_pressure", False: "program"}
    body = await gateway.scored(YES)
    assert (body["results"][0]["reward"], body["counts"]["rollouts"]) == (3 / 8, 1)
