"""``"trace": true``: rolled out again, equal to what is on record, or an error."""

from typing import Any

import pytest

from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.world import GREEN, make_metrics, queue_of

YES = {"decision": {"kind": "extend", "extend": True}}
NO = {"decision": {"kind": "extend", "extend": False}}
OUTCOMES = f"/v1/states/{GREEN}/outcomes"


async def test_scored_items_are_shown(gateway: Gateway) -> None:
    """What was scored has its trace, with the queue that its metrics are made of."""
    text = {"decision_kind": "extend", "completion": "hm"}
    yes, invalid = (await gateway.scored(YES, text, trace=True, series=True))["results"]
    assert yes["trace"]["queue_veh"] == yes["metrics"]["series"]
    assert len(yes["trace"]["frames"]) == 4
    assert invalid["status"] == "invalid"
    assert "trace" not in invalid


async def test_nothing_is_said_of_traces_elsewhere(gateway: Gateway) -> None:
    """Results are what they were where none is asked for, also after one was."""
    await gateway.scored(YES, trace=True)
    assert "trace" not in (await gateway.scored(YES))["results"][0]


async def test_shown_rollouts_are_forks(gateway: Gateway) -> None:
    """Beside the rollout on record there is one that is watched, in a process of its own."""
    await gateway.scored(YES, trace=True)
    shown = [rollout for rollout in gateway.runner.runs if rollout.is_shown]
    assert [rollout.is_forked for rollout in shown] == [True]


def _otherwise_when_watched(rollout: Rollout) -> Metrics | None:
    return make_metrics(queue_of(rollout) + 1) if rollout.is_shown else None


async def test_what_differs_from_the_record_has_failed(gateway: Gateway) -> None:
    """No reward, no trace, no metrics: nobody knows which of the two is right."""
    gateway.runner.fail = _otherwise_when_watched
    body = await gateway.scored(YES, trace=True)
    (result,) = body["results"]
    assert (result["status"], result["reward"], result["metrics"]) == ("failed", None, None)
    assert result["error"]["code"] == "trace_differs"
    assert "trace" not in result
    assert body["counts"]["failed"] == 1


async def test_outcomes_that_differ_are_refused(gateway: Gateway) -> None:
    """A ranking of which one outcome is in doubt is none."""
    gateway.runner.fail = _otherwise_when_watched
    response = await gateway.http.get(OUTCOMES, params={"trace": True})
    assert (response.status_code, response.json()["code"]) == (500, "trace_differs")


async def test_outcomes_are_shown(gateway: Gateway) -> None:
    """Every decision and the program left alone."""
    body = (await gateway.http.get(OUTCOMES, params={"trace": True})).json()
    assert [len(one["trace"]["frames"]) for one in body["outcomes"]] == [4, 4]
    assert body["reference"]["trace"]["vehicles"] == ["a"]
    plain = (await gateway.http.get(OUTCOMES)).json()
    assert [*plain["outcomes"], plain["reference"]] == [
        {name: value for name, value in one.items() if name != "trace"} | _known(one)
        for one in (*body["outcomes"], body["reference"])
    ]


def _known(outcome: dict[str, Any]) -> dict[str, Any]:
    return {"cached": True} if "cached" in outcome else {}


@pytest.mark.parametrize(
    ("items", "horizon_s"), [([YES] * 17, 10), ([YES, NO], 601)], ids=["many", "long"]
)
async def test_too_many_traces(gateway: Gateway, items: list[Any], horizon_s: int) -> None:
    """Refused before anything is rolled out, with the limits and the way out."""
    reward = {"name": "queue", "horizon_s": horizon_s}
    response = await gateway.score(*items, trace=True, reward=reward)
    assert (response.status_code, response.json()["code"]) == (422, "too_many_traces")
    assert "ask for fewer at a time" in response.json()["detail"]
    assert not gateway.runner.runs


async def test_seeds_have_no_trace(gateway: Gateway) -> None:
    """A mean over several futures is none of them."""
    response = await gateway.score(YES, trace=True, reward={"name": "queue", "seeds": [1, 2]})
    assert response.status_code == 422
    assert response.json()["detail"].startswith("trace: ")


async def test_jobs_have_no_traces(gateway: Gateway) -> None:
    """A job that asks for them is refused instead of passing over the wish."""
    item = {"state_id": GREEN, "tls_id": "C"} | YES
    response = await gateway.http.post("/v1/jobs", json={"items": [item], "trace": True})
    assert response.status_code == 422
    assert "trace" in response.json()["detail"]


async def test_traces_are_packed(gateway: Gateway) -> None:
    """For whoever takes gzip."""
    packed = await gateway.score(*[YES] * 16, trace=True)
    assert packed.headers["content-encoding"] == "gzip"
    gateway.http.headers["accept-encoding"] = "gzip;q=0"
    plain = await gateway.score(*[YES] * 16, trace=True)
    assert "content-encoding" not in plain.headers
    assert plain.json()["results"][0]["trace"] == packed.json()["results"][0]["trace"]


async def test_the_program_left_alone_is_shown(gateway: Gateway) -> None:
    """By itself, where every decision's trace would be too much."""
    query = {"reference_trace": True, "horizon_s": 700}
    body = (await gateway.http.get(OUTCOMES, params=query)).json()
    assert body["reference"]["trace"]["vehicles"] == ["a"]
    assert all("trace" not in one for one in body["outcomes"])
    shown = [rollout for rollout in gateway.runner.runs if rollout.is_shown]
    assert [one.signal_decisions for one in shown] == [()]
