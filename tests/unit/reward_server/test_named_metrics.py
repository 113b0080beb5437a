"""``"metrics": [...]``: a request that names the metrics it wants, over HTTP."""

from typing import Any

import pytest

from shared.rewards import Metrics
from shared.wire.jobs import JobSpec
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.jobs.workshop import make_items
from tests.unit.reward_server.test_jobs import LINES, body_of, results_of, working
from tests.unit.reward_server.world import GREEN

YES = {"decision": {"kind": "extend", "extend": True}}


async def test_only_the_named_metrics_are_in_the_results(gateway: Gateway) -> None:
    """Null where there was no vehicle, as among all of them, and the rest is not there."""
    body = await gateway.scored(YES, metrics=["speed_mps", "wait_s"])
    assert body["results"][0]["metrics"] == {"wait_s": 3.5, "speed_mps": None}


@pytest.mark.parametrize(
    "reward",
    [
        {"name": "queue_gain"},
        {"name": "sum", "terms": {"pressure": 0.5, "wait": 0.25}},
        {"name": "queue", "seeds": [1, 2]},
    ],
)
async def test_rewards_do_not_depend_on_what_is_named(
    gateway: Gateway, reward: dict[str, Any]
) -> None:
    """A reward is made of metrics that nobody named, too."""
    named = await gateway.scored(YES, reward=reward, metrics=["throughput_veh"])
    full = await gateway.scored(YES, reward=reward)
    (some,), (whole,) = named["results"], full["results"]
    assert (some["reward"], some["reward_stderr"]) == (whole["reward"], whole["reward_stderr"])
    assert list(some["metrics"]) == ["throughput_veh"]


async def test_what_is_on_record_is_complete(gateway: Gateway) -> None:
    """Whoever asks for all of them later gets them, without another rollout."""
    first = await gateway.scored(YES, metrics=["queue_veh"])
    full = await gateway.scored(YES)
    again = await gateway.scored(YES, metrics=["queue_veh"])
    assert first["counts"]["rollouts"] == 2
    assert (full["counts"]["cached"], full["counts"]["rollouts"]) == (1, 0)
    assert len(full["results"][0]["metrics"]) == 9
    assert again["results"][0]["metrics"] == {"queue_veh": 2.0}


async def test_series_stands_beside_the_named_ones(gateway: Gateway) -> None:
    """Where it is asked for."""
    body = await gateway.scored(YES, metrics=["queue_veh"], series=True)
    assert body["results"][0]["metrics"] == {"queue_veh": 2.0, "series": [1, 2, 3]}


async def test_unknown_name_is_refused(gateway: Gateway) -> None:
    """With the names that there are."""
    response = await gateway.score(YES, metrics=["queue_veh", "luck"])
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "unknown_metric")
    assert problem["detail"].startswith("metrics[1]: Input should be 'queue_veh', 'queue_veh_max'")
    assert problem["detail"].endswith("or 'delay_veh', not \"luck\"")
    assert not gateway.runner.runs


async def test_naming_nothing_is_refused(gateway: Gateway) -> None:
    """It is more likely a mistake than a wish for results without metrics."""
    response = await gateway.score(YES, metrics=[])
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_job_answers_with_the_named_metrics(gateway: Gateway) -> None:
    """As its view says; named with a file, or in a document."""
    items, spec = make_items(2), '{"reward": {"name": "queue"}, "metrics": ["wait_s"]}'
    post = gateway.http.post
    document = {
        "items": [item.model_dump(mode="json", exclude_none=True) for item in items],
        "reward": {"name": "queue"},
        "metrics": ["wait_s"],
    }
    async with working(gateway):
        answers = [
            await post("/v1/jobs", content=body_of(items), headers=LINES, params={"spec": spec}),
            await post("/v1/jobs", json=document),
        ]
        jobs = [answer.json() for answer in answers]
        found = [await results_of(gateway, job["id"]) for job in jobs]
        path = f"/v1/jobs/{jobs[0]['id']}/results"
        text = (await gateway.http.get(path)).text
    assert [job["metrics"] for job in jobs] == [["wait_s"], ["wait_s"]]
    assert found[0] == found[1]
    assert '"metrics":{"wait_s":3.5},' in text


async def test_job_of_an_unknown_metric_is_refused(gateway: Gateway) -> None:
    """As a whole."""
    params = {"spec": '{"metrics": ["luck"]}'}
    response = await gateway.http.post("/v1/jobs", content="", headers=LINES, params=params)
    assert (response.status_code, response.json()["code"]) == (422, "unknown_metric")


def test_job_that_names_none_is_what_it_was() -> None:
    """So that a job sent again after an update is the same job: its text makes the digest."""
    assert JobSpec().model_dump_json().endswith('"series":false}')


async def test_documentation_names_them(gateway: Gateway) -> None:
    """Not one of them must be there."""
    schemas = (await gateway.http.get("/openapi.json")).json()["components"]["schemas"]
    named = schemas["NamedMetrics"]
    assert {*named["properties"]} == {*Metrics.model_fields}
    assert "required" not in named


async def test_outcomes_show_the_named_metrics(gateway: Gateway) -> None:
    """Also those of the program left alone."""
    path = f"/v1/states/{GREEN}/outcomes"
    params = {"metrics": ["queue_veh", "pressure_veh"]}
    body = (await gateway.http.get(path, params=params)).json()
    shown = [one["metrics"] for one in (*body["outcomes"], body["reference"])]
    assert shown == [{"queue_veh": q, "pressure_veh": 0.5} for q in (2.0, 9.0, 5.0)]
    refused = await gateway.http.get(path, params={"metrics": "luck"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_metric")
