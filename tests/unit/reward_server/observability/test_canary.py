"""Whether the service says that it is ready."""

from shared.errors import HolderLost
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from sim_workers.states.store import StateStore
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.world import (
    make_metrics,
)


async def test_alive_is_not_ready(open_gateway: OpenGateway) -> None:
    """Without states the process answers, and cannot score."""
    gateway = await open_gateway(StateStore([]))
    assert (await gateway.http.get("/healthz")).json() == {"status": "ok"}
    response = await gateway.http.get("/readyz")
    assert_problem(response, 503, "not_ready")
    assert int(response.headers["Retry-After"]) >= 1


async def test_ready_rolls_out_once_for_many_probes(gateway: Gateway) -> None:
    """The verdict stands for a while; the first one includes a rollout along the run."""
    for _ in range(5):
        assert (await gateway.http.get("/readyz")).status_code == 200
    assert sorted(rollout.horizon_s for rollout in gateway.runner.runs) == [10, 61]
    assert set(gateway.runner.runs.values()) == {1}


async def test_the_canary_waits_for_nobody(gateway: Gateway) -> None:
    """Its rollouts go before all that waits: a busy service is no broken one."""
    assert (await gateway.http.get("/readyz")).status_code == 200
    canary = [flow for flow, _ in gateway.runner.flows if flow.name == "canary"]
    assert canary
    assert all(flow.is_urgent for flow in canary)


async def test_not_ready_where_the_canary_fails(gateway: Gateway) -> None:
    """The problem says why."""

    def lose(rollout: Rollout) -> Metrics | None:
        raise HolderLost("died twice")

    gateway.runner.fail = lose
    assert_problem(await gateway.http.get("/readyz"), 503, "holder_lost")


async def test_not_ready_where_the_canary_differs(open_gateway: OpenGateway) -> None:
    """A service that gives another number than before must not be used."""
    assert (await (await open_gateway()).http.get("/readyz")).status_code == 200
    other = await open_gateway()
    other.runner.fail = lambda rollout: make_metrics(5.0000001)
    assert_problem(await other.http.get("/readyz"), 503, "canary_differs")


async def test_ready_where_the_canary_was_recorded_without_delay(
    open_gateway: OpenGateway,
) -> None:
    """A ledger older than the metric says nothing of it; what it says must still be so."""
    old = await open_gateway()
    old.runner.fail = lambda rollout: make_metrics(5.0, delay_veh=None)
    assert (await old.http.get("/readyz")).status_code == 200
    assert (await (await open_gateway()).http.get("/readyz")).status_code == 200
    other = await open_gateway()
    other.runner.fail = lambda rollout: make_metrics(6.0)
    assert_problem(await other.http.get("/readyz"), 503, "canary_differs")
