"""Episodes over HTTP on a runner that simulates nothing: records, repeats, refusals."""

from io import BytesIO
from typing import Any

import httpx
import pytest
from pyarrow import parquet
from sqlalchemy import insert

from reward_server.auth.callers import ANYONE, Caller
from reward_server.episodes.step_writes import StepWrite
from reward_server.episodes.store import EpisodeStore
from reward_server.storage.tables import EPISODES
from shared.errors import (
    EpisodeGone,
    EpisodeInterrupted,
    LedgerError,
    RolloutRejected,
    UnknownEpisode,
    WorkerLost,
)
from shared.wire.episodes import EpisodeRequest, StepRequest
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.fake_episodes import TRIPINFO
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.world import GREEN

SCENARIO = "crossing-111111111111"
STAY = {"kind": "phase", "next_phase": 0}
GO = {"kind": "phase", "next_phase": 2}


async def create(gateway: Gateway, key: str | None = None, **asked: Any) -> httpx.Response:  # noqa: ANN401
    """Asks for an episode of three steps, unless told otherwise."""
    begin = {} if "state_id" in asked else {"scenario_id": SCENARIO}
    headers = {} if key is None else {"Idempotency-Key": key}
    body = begin | {"end_s": 30} | asked
    return await gateway.http.post("/v1/episodes", json=body, headers=headers)


async def begun(gateway: Gateway, **asked: Any) -> str:  # noqa: ANN401
    """The id of a new episode."""
    response = await create(gateway, **asked)
    assert response.status_code == 201, response.text
    return str(response.json()["episode_id"])


async def step(
    gateway: Gateway, episode_id: str, number: int, decision: dict[str, Any] = GO
) -> httpx.Response:
    """Asks for a step."""
    body = {"step": number, "decisions": {"C": decision}}
    return await gateway.http.post(f"/v1/episodes/{episode_id}/step", json=body)


async def finished(gateway: Gateway) -> str:
    """The id of an episode that was stepped to its end."""
    episode_id = await begun(gateway)
    for number in range(3):
        assert (await step(gateway, episode_id, number)).status_code == 200
    return episode_id


async def test_an_episode_is_stepped_to_its_end(gateway: Gateway) -> None:
    """Each answer names the next step; the last one says that it is over."""
    episode_id = await begun(gateway)
    answers = [(await step(gateway, episode_id, number)).json() for number in range(3)]
    assert [one["step"] for one in answers] == [1, 2, 3]
    assert [one["truncated"] for one in answers] == [False, False, True]
    assert_problem(await step(gateway, episode_id, 3), 409, "episode_over")
    result = (await gateway.http.get(f"/v1/episodes/{episode_id}/result")).json()
    assert (result["delay_s"], result["steps"], result["end_s"]) == (3.25, 3, 30)


async def test_a_done_step_is_answered_again(gateway: Gateway) -> None:
    """The same body gets the same bytes, of any step; another body is a conflict."""
    episode_id = await begun(gateway)
    first = [await step(gateway, episode_id, number) for number in range(3)]
    again = [await step(gateway, episode_id, number) for number in range(3)]
    assert [one.content for one in again] == [one.content for one in first]
    assert_problem(await step(gateway, episode_id, 1, STAY), 409, "step_conflict")


async def test_order_of_signals_in_a_body_does_not_matter(gateway: Gateway) -> None:
    """A client may write its decisions down in any order."""
    episode_id = await begun(gateway)
    path = f"/v1/episodes/{episode_id}/step"
    bodies = [
        {"step": 0, "decisions": {"C": GO, "D": STAY}},
        {"decisions": {"D": STAY, "C": GO}, "step": 0},
    ]
    first, again = [await gateway.http.post(path, json=body) for body in bodies]
    assert (again.status_code, again.content) == (200, first.content)


async def test_a_step_that_is_not_due_is_refused(gateway: Gateway) -> None:
    """Nothing is carried out."""
    episode_id = await begun(gateway)
    assert_problem(await step(gateway, episode_id, 1), 409, "step_out_of_order")
    assert (await step(gateway, episode_id, 0)).status_code == 200


async def test_creation_may_be_repeated(gateway: Gateway) -> None:
    """The same key with the same request is the same episode; with another one it is refused."""
    first = await create(gateway, key="k1")
    await step(gateway, first.json()["episode_id"], 0)
    again = await create(gateway, key="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert_problem(await create(gateway, key="k1", seed=5), 409, "idempotency_conflict")
    assert_problem(await create(gateway, key="with space"), 422, "invalid_request")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"begin_s": 100, "end_s": 100}, "end_before_begin"),
        ({"end_s": 86_401}, "episode_too_long"),
        ({"begin_s": -5}, "begin_before_scenario"),
        ({"signals": ["X"]}, "unknown_signal"),
        ({"control": {"preset": "mine"}}, "invalid_request"),
        ({"state_id": GREEN, "seed": 3}, "invalid_request"),
        ({"state_id": GREEN, "end_s": 900}, "end_before_begin"),
    ],
)
async def test_impossible_episodes_are_refused(
    gateway: Gateway, asked: dict[str, Any], code: str
) -> None:
    """Each with its code, and nothing is begun."""
    assert_problem(await create(gateway, **asked), 422, code)
    assert gateway.episodes.flows == []


async def test_an_episode_may_begin_from_a_state(gateway: Gateway) -> None:
    """Its seed, scale and time are the state's."""
    episode_id = await begun(gateway, state_id=GREEN, end_s=1000)
    shown = (await gateway.http.get(f"/v1/episodes/{episode_id}")).json()
    assert (shown["state_id"], shown["scenario_id"]) == (GREEN, SCENARIO)
    assert (shown["seed"], shown["begin_s"], shown["answer"]["step"]) == (1, 900, 0)


async def test_unknown_things_are_named(gateway: Gateway) -> None:
    """Scenarios, states and episodes."""
    missing = await create(gateway, scenario_id="other-000000000000")
    assert_problem(missing, 404, "unknown_scenario")
    assert_problem(await create(gateway, state_id="none@1-000000000000"), 404, "unknown_state")
    for path in ("", "/result", "/trips", "/actions"):
        response = await gateway.http.get(f"/v1/episodes/{'0' * 32}{path}")
        assert_problem(response, 404, "unknown_episode")
    assert_problem(await step(gateway, "no-id", 0), 404, "unknown_episode")


async def test_a_deleted_episode_is_gone(gateway: Gateway) -> None:
    """Which is another answer than that there never was one; its key may be used again."""
    first = await create(gateway, key="k")
    episode_id = first.json()["episode_id"]
    await step(gateway, episode_id, 0)
    deleted = await gateway.http.delete(f"/v1/episodes/{episode_id}")
    assert deleted.status_code == 204
    assert_problem(await step(gateway, episode_id, 1), 410, "episode_deleted")
    assert_problem(await gateway.http.get(f"/v1/episodes/{episode_id}"), 410, "episode_deleted")
    assert not gateway.episodes.is_live(episode_id)
    assert (await create(gateway, key="k")).status_code == 201


async def test_episodes_of_a_caller_are_limited(open_gateway: OpenGateway) -> None:
    """One more is answered 429, with a time to come back; finished ones do not count."""
    gateway = await open_gateway(max_episodes=2)
    await finished(gateway)
    for _ in range(2):
        await begun(gateway)
    refused = await create(gateway)
    assert_problem(refused, 429, "too_many_episodes")
    assert int(refused.headers["Retry-After"]) > 0


async def test_an_episode_belongs_to_its_caller(gateway: Gateway) -> None:
    """Others do not see it; an administrator does."""
    ann, bob = Caller("ann", frozenset({"score"})), Caller("bob", frozenset({"score"}))
    admin = Caller("root", frozenset({"admin"}))
    service = gateway.services.episodes
    request = EpisodeRequest(scenario_id=SCENARIO, end_s=30)
    episode_id = (await service.create(ann, request)).episode_id
    for use in (service.show, service.result, service.delete):
        with pytest.raises(UnknownEpisode):
            await use(bob, episode_id)
    with pytest.raises(UnknownEpisode):
        await service.step(bob, episode_id, StepRequest(step=0))
    assert (await service.show(admin, episode_id)).episode_id == episode_id
    assert (await service.page(bob, 10, 0)).total == 0
    assert gateway.episodes.flows == [ann.calls()]


async def test_another_gateway_goes_on(open_gateway: OpenGateway) -> None:
    """From the record; what the first one believed is corrected by the database."""
    first, second = await open_gateway(), await open_gateway()
    episode_id = await begun(first)
    await step(first, episode_id, 0)
    theirs = await step(second, episode_id, 1)
    assert theirs.json()["step"] == 2
    assert second.episodes.replayed == [(episode_id, 1)]
    assert (await step(first, episode_id, 1)).content == theirs.content
    assert_problem(await step(first, episode_id, 1, STAY), 409, "step_conflict")
    assert (await step(first, episode_id, 2)).json()["truncated"]
    assert_problem(await step(second, episode_id, 3), 409, "episode_over")


async def test_deletion_by_another_gateway_is_noticed(open_gateway: OpenGateway) -> None:
    """By the next step, which is not recorded."""
    first, second = await open_gateway(), await open_gateway()
    episode_id = await begun(first)
    await second.services.episodes.delete(ANYONE, episode_id)
    assert_problem(await step(first, episode_id, 0), 410, "episode_deleted")


async def test_a_step_that_was_not_recorded_is_not_answered(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller asks again, and may decide otherwise: nobody has heard of the first answer."""
    episode_id = await begun(gateway)
    append = EpisodeStore.append

    async def fail(self: EpisodeStore, write: StepWrite) -> bool:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(EpisodeStore, "append", fail)
    assert_problem(await step(gateway, episode_id, 0), 503, "ledger_unavailable")
    monkeypatch.setattr(EpisodeStore, "append", append)
    assert (await step(gateway, episode_id, 0, STAY)).status_code == 200
    assert gateway.episodes.replayed == [(episode_id, 0), (episode_id, 0)]


async def test_lost_workers_are_worth_a_retry(gateway: Gateway) -> None:
    """What SUMO refuses is not: the same would happen again."""
    episode_id = await begun(gateway)
    gateway.episodes.fails = WorkerLost("three of them")
    lost = await step(gateway, episode_id, 0)
    assert_problem(lost, 503, "worker_lost")
    assert lost.json()["retryable"]
    gateway.episodes.fails = EpisodeInterrupted("three of them")
    assert_problem(await step(gateway, episode_id, 0), 503, "episode_interrupted")
    gateway.episodes.fails = RolloutRejected("another program", "program_switched")
    refused = await step(gateway, episode_id, 0)
    assert_problem(refused, 409, "program_switched")
    assert not refused.json()["retryable"]
    gateway.episodes.fails = RolloutRejected("no way", "missing_transition")
    assert_problem(await create(gateway), 422, "missing_transition")
    assert (await step(gateway, episode_id, 0)).status_code == 200


async def test_parked_episodes_wake(open_gateway: OpenGateway) -> None:
    """Idle ones have no process; the next step replays them, whatever it costs."""
    gateway = await open_gateway(episode_park_after_s=1e-9)
    episode_id = await begun(gateway)
    await step(gateway, episode_id, 0)
    await gateway.http.post(f"/v1/episodes/{episode_id}/fork")
    assert len(gateway.episodes.processes) == 2
    await gateway.services.episode_desk.look(is_sweeping=False)
    assert gateway.episodes.processes == {}
    shown = (await gateway.http.get(f"/v1/episodes/{episode_id}")).json()
    assert (shown["is_live"], shown["step"]) == (False, 1)
    assert (await step(gateway, episode_id, 1)).json()["step"] == 2
    assert gateway.episodes.replayed[1:] == [(episode_id, 1)]


async def test_ten_thousand_parked_episodes_are_rows_only(gateway: Gateway) -> None:
    """None has a process or a place in memory; they are listed a page at a time."""
    episode_id = await begun(gateway)
    database = gateway.services.database
    (row,) = await database.rows(EPISODES.select())
    rows = [row._asdict() | {"episode_id": f"{n:032x}"} for n in range(10_000)]
    await database.change(insert(EPISODES), rows)
    await gateway.services.episode_desk.look(is_sweeping=True)
    page = (await gateway.http.get("/v1/episodes", params={"limit": 1, "offset": 9_000})).json()
    assert (page["total"], len(page["episodes"])) == (10_001, 1)
    metrics = (await gateway.http.get("/metrics")).text
    assert 'greenfork_episodes{status="parked"} 10000.0' in metrics
    assert set(gateway.episodes.processes) == {episode_id}
    assert (await step(gateway, f"{77:032x}", 0)).status_code == 200
    assert len(gateway.episodes.processes) == 2


async def test_a_fork_goes_its_own_way(gateway: Gateway) -> None:
    """It has what was decided so far under its own name, and leaves the other alone."""
    episode_id = await begun(gateway)
    own = await step(gateway, episode_id, 0)
    path = f"/v1/episodes/{episode_id}/fork"
    forked = await gateway.http.post(path, headers={"Idempotency-Key": "f"})
    fork_id = forked.json()["episode_id"]
    assert forked.status_code == 201
    assert forked.json() == own.json() | {"episode_id": fork_id}
    assert (await step(gateway, fork_id, 0)).json() == forked.json()
    assert (await step(gateway, fork_id, 1, STAY)).json()["step"] == 2
    assert (await gateway.http.get(f"/v1/episodes/{episode_id}")).json()["step"] == 1
    assert (await step(gateway, episode_id, 1, GO)).status_code == 200
    assert [steps for _, steps in gateway.episodes.replayed] == [0], "the process was forked"
    again = await gateway.http.post(path, headers={"Idempotency-Key": "f"})
    assert_problem(again, 409, "idempotency_conflict")  # the episode has moved on meanwhile


async def test_trips_come_in_the_form_that_is_asked_for(gateway: Gateway) -> None:
    """CSV unless told otherwise, Parquet, or what SUMO wrote."""
    path = f"/v1/episodes/{await finished(gateway)}/trips"
    text = (await gateway.http.get(path)).text.splitlines()
    assert text[0].startswith("vehicle_id,depart_s,")
    assert text[2] == "b,,4.0,,0.0,0.0,0.0,0.0"
    accept = "application/vnd.apache.parquet"
    table = parquet.read_table(
        BytesIO((await gateway.http.get(path, headers={"Accept": accept})).content)
    )
    assert table.column("depart_s").to_pylist() == [1.0, None]
    xml = await gateway.http.get(path, headers={"Accept": "application/xml"})
    assert xml.content == TRIPINFO
    refused = await gateway.http.get(path, headers={"Accept": "image/png"})
    assert_problem(refused, 422, "not_acceptable")


async def test_what_is_unfinished_has_no_result(gateway: Gateway) -> None:
    """But its actions so far, a line each."""
    episode_id = await begun(gateway)
    for number in range(2):
        await step(gateway, episode_id, number)
    for path in ("result", "trips"):
        response = await gateway.http.get(f"/v1/episodes/{episode_id}/{path}")
        assert_problem(response, 409, "episode_running")
    lines = (await gateway.http.get(f"/v1/episodes/{episode_id}/actions")).text.splitlines()
    assert len(lines) == 2


async def test_old_episodes_are_deleted(gateway: Gateway) -> None:
    """Finished ones when they are old enough; running ones never."""
    done, running = await finished(gateway), await begun(gateway)
    store = EpisodeStore(gateway.services.database)
    assert await store.sweep(retention_s=3600) == 0
    assert await store.sweep(retention_s=-1) == 1
    assert await store.find(done) is None
    assert await store.step(done, 0) is None
    assert await store.find(running) is not None


async def test_deleted_episodes_are_gone_for_the_service(gateway: Gateway) -> None:
    """In process it is the same error."""
    episode_id = await begun(gateway)
    await gateway.services.episodes.delete(ANYONE, episode_id)
    with pytest.raises(EpisodeGone):
        await gateway.services.episodes.show(ANYONE, episode_id)
