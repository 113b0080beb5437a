"""Users' own metrics over HTTP, on a fake runner."""

from shared.rewards import Metrics
from shared.wire.jobs import JobSpec
from sim_workers.engine.custom.installed import InstalledMetric
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.world import GREEN, make_metrics, queue_of

_YES = {"decision": {"kind": "extend", "extend": True}}
_REWARD = {"name": "sum", "terms": {"custom.co2": -0.5, "queue_gain": 1.0}}


def _installed(digest: str = "1") -> tuple[InstalledMetric, ...]:
    return tuple(
        InstalledMetric(name, f"emissions:{name}", "emissions 1.0", "/", digest * 64)
        for name in ("co2", "stops")
    )


def _observed(rollout: Rollout) -> Metrics:
    values = {one.name: 1.5 for one in rollout.custom} or None
    return make_metrics(queue_of(rollout)).model_copy(update={"custom": values})


async def _opened(open_gateway: OpenGateway, digest: str = "1") -> Gateway:
    gateway = await open_gateway(metrics=_installed(digest))
    gateway.runner.fail = _observed
    return gateway


async def test_a_reward_made_of_one(open_gateway: OpenGateway) -> None:
    """It is sampled where the reward needs it, and not in the reference; the result shows it."""
    gateway = await _opened(open_gateway)
    (result,) = (await gateway.scored(_YES, reward=_REWARD))["results"]
    assert result["reward"] == -0.5 * 1.5 + (5 - 2) / (5 + 2 + 1)
    assert result["metrics"]["custom"] == {"co2": 1.5}
    sampled = {
        len(run.signal_decisions): [one.name for one in run.custom] for run in gateway.runner.runs
    }
    assert sampled == {1: ["co2"], 0: []}


async def test_named_among_the_metrics(open_gateway: OpenGateway) -> None:
    """It is sampled though the reward does not need it; whoever names none gets none."""
    gateway = await _opened(open_gateway)
    named = await gateway.scored(_YES, metrics=["custom.stops", "queue_veh"])
    assert named["results"][0]["metrics"] == {"queue_veh": 2.0, "custom": {"stops": 1.5}}
    plain = await gateway.scored(_YES)
    assert "custom" not in plain["results"][0]["metrics"]
    assert plain["counts"]["rollouts"] == 1, "the reference was known"


async def test_outcomes_are_found_by_the_code_of_the_metric(open_gateway: OpenGateway) -> None:
    """Another gateway with the same package finds them; with a changed one it rolls out again."""
    rollouts = []
    for digest in "112":
        gateway = await _opened(open_gateway, digest)
        body = await gateway.scored(_YES, reward={"name": "custom.co2"})
        assert body["results"][0]["reward"] == 1.5
        rollouts.append(body["counts"]["rollouts"])
    assert rollouts == [1, 0, 1]


async def test_outcomes_without_them_are_found_whatever_is_installed(
    open_gateway: OpenGateway,
) -> None:
    """An installed package changes nothing for requests that do not name its metrics."""
    plain = await open_gateway()
    await plain.scored(_YES)
    gateway = await _opened(open_gateway)
    assert (await gateway.scored(_YES))["counts"]["rollouts"] == 0


async def test_unknown_one_is_refused(open_gateway: OpenGateway) -> None:
    """In a reward, among the metrics, in a query for outcomes, and when a job is sent."""
    gateway = await _opened(open_gateway)
    reward = {"name": "custom.luck"}
    answers = [
        await gateway.score(_YES, reward=reward),
        await gateway.score(_YES, metrics=["custom.luck"]),
        await gateway.http.get(
            f"/v1/states/{GREEN}/outcomes", params={"tls_id": "C", "reward": "custom.luck"}
        ),
        await gateway.http.post(
            "/v1/jobs",
            json={
                "items": [{"state_id": GREEN, "tls_id": "C"} | _YES],
                "metrics": ["custom.luck"],
            },
        ),
        await gateway.http.post(
            "/v1/jobs",
            json={"items": [{"state_id": GREEN, "tls_id": "C"} | _YES], "reward": reward},
        ),
    ]
    for answer in answers:
        problem = assert_problem(answer, 422, "unknown_metric")
        assert "there are: custom.co2, custom.stops" in problem["detail"]
    assert not gateway.runner.runs


async def test_outcomes_of_every_decision(open_gateway: OpenGateway) -> None:
    """Ranked by it, the program left alone included."""
    gateway = await _opened(open_gateway)
    query = {"tls_id": "C", "reward": "custom.co2", "metrics": ["custom.stops"]}
    body = (await gateway.http.get(f"/v1/states/{GREEN}/outcomes", params=query)).json()
    assert [one["reward"] for one in body["outcomes"]] == [1.5, 1.5]
    assert body["reference"]["reward"] == 1.5
    assert body["outcomes"][0]["metrics"] == {"custom": {"stops": 1.5}}


async def test_the_service_lists_them(open_gateway: OpenGateway) -> None:
    """With their package and digest, by which whoever compares services can tell."""
    gateway = await _opened(open_gateway)
    listed = (await gateway.http.get("/v1/info")).json()["metrics"]
    assert listed[0] == {"name": "custom.co2", "package": "emissions 1.0", "digest": "1" * 64}
    assert [one["name"] for one in listed] == ["custom.co2", "custom.stops"]


async def test_what_is_no_number_is_never_recorded(open_gateway: OpenGateway) -> None:
    """Even if a worker let it through."""
    gateway = await _opened(open_gateway)
    broken = make_metrics(2.0).model_copy(update={"custom": {"co2": float("nan")}})
    gateway.runner.fail = lambda rollout: broken
    (result,) = (await gateway.scored(_YES, reward={"name": "custom.co2"}))["results"]
    assert (result["reward"], result["error"]["code"]) == (None, "not_finite")


def test_a_jobs_spec_names_them() -> None:
    """As a request does."""
    spec = JobSpec.model_validate({"reward": {"name": "custom.co2"}, "metrics": ["custom.stops"]})
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
