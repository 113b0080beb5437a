"""``/v1/jobs``: sending, following, reading and deleting jobs, each by its caller."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import select, update

from reward_server.auth.callers import SCOPES, Caller
from reward_server.http.app import create_app
from reward_server.jobs.records import Job
from reward_server.storage.tables import JOB_CHUNKS, JOBS
from shared.errors import UnknownJob
from shared.wire.jobs import JobResult, JobView
from shared.wire.scoring import ScoreItem
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.jobs.workshop import make_items
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.world import GREEN

LINES = {"Content-Type": "application/x-ndjson"}
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
SPEC = {"spec": '{"reward": {"name": "queue"}}'}


@asynccontextmanager
async def working(gateway: Gateway) -> AsyncIterator[Gateway]:
    """A gateway that works on its jobs."""
    await gateway.services.jobs.start()
    try:
        yield gateway
    finally:
        await gateway.services.jobs.close()


def body_of(items: list[ScoreItem]) -> str:
    """Items, one per line."""
    return "".join(item.model_dump_json(exclude_none=True) + "\n" for item in items)


async def sent(gateway: Gateway, items: list[ScoreItem], key: str | None = None) -> httpx.Response:
    """The answer to a file of items."""
    headers = LINES | ({"Idempotency-Key": key} if key else {})
    return await gateway.http.post("/v1/jobs", content=body_of(items), headers=headers, params=SPEC)


async def results_of(gateway: Gateway, job_id: str, **params: int) -> list[JobResult]:
    """All results, waited for."""
    asked: dict[str, int | bool] = {"follow": True, **params}
    response = await gateway.http.get(f"/v1/jobs/{job_id}/results", params=asked)
    assert response.headers["content-type"] == "application/x-ndjson"
    return [JobResult.model_validate_json(line) for line in response.text.splitlines()]


async def test_three_forms_of_one_job(gateway: Gateway) -> None:
    """JSON, lines and Parquet give the same results, which are those of scoring."""
    items = make_items(5)
    plain = [item.model_dump(mode="json", exclude_none=True) for item in items]
    table = {name: [row.get(name) for row in plain] for name in ("id", "state_id", "tls_id")}
    table |= {"decision": [row["decision"] for row in plain]}
    file = io.BytesIO()
    parquet.write_table(pa.table(table), file)
    post = gateway.http.post
    async with working(gateway):
        answers = [
            await post("/v1/jobs", json={"items": plain, "reward": {"name": "queue"}}),
            await sent(gateway, items),
            await post("/v1/jobs", content=file.getvalue(), headers=PARQUET, params=SPEC),
        ]
        jobs = [JobView.model_validate_json(answer.content) for answer in answers]
        found = [await results_of(gateway, job.id) for job in jobs]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert answers[0].headers["location"] == f"/v1/jobs/{jobs[0].id}"
    assert found[0] == found[1] == found[2]
    scored = await gateway.scored(*plain, reward={"name": "queue"})
    assert [result.reward for result in found[0]] == [r["reward"] for r in scored["results"]]
    assert [result.id for result in found[0]] == [0, 1, 2, 3, 4]
    view = JobView.model_validate_json((await gateway.http.get(f"/v1/jobs/{jobs[2].id}")).content)
    assert (view.status, view.items, view.done, view.counts.scored) == ("done", 5, 5, 5)
    assert view.finished_at is not None
    assert view.items_per_s is not None


async def test_bad_line_refuses_all_of_it(gateway: Gateway) -> None:
    """Nothing is stored."""
    lines = body_of(make_items(600)).splitlines(keepends=True)
    for bad, status, code in [
        ("{}\n", 422, "invalid_request"),
        ("?\n", 422, "malformed_json"),
        (lines[0].replace(GREEN, "nowhere@1-aaaaaaaaaaaa"), 404, "unknown_state"),
        (lines[0].replace('"C"', '"Z"'), 404, "unknown_signal"),
    ]:
        body = "".join([*lines[:500], bad, *lines[500:]])
        response = await gateway.http.post("/v1/jobs", content=body, headers=LINES)
        assert_problem(response, status, code)
        assert response.json()["detail"].startswith("line 501: ")
    assert (await gateway.http.get("/v1/jobs")).json()["jobs"] == []
    async with gateway.services.database.read() as connection:
        assert (await connection.execute(select(JOBS.c.job_id))).all() == []
        assert (await connection.execute(select(JOB_CHUNKS.c.number))).all() == []


@pytest.mark.parametrize(
    ("headers", "params", "content", "code"),
    [
        ({"Content-Type": "text/csv"}, {}, "a,b", "unsupported_content_type"),
        (LINES, {"spec": "{"}, "", "malformed_json"),
        (LINES, {"spec": '{"reward": {"name": "luck"}}'}, "", "unknown_reward"),
        (LINES, {}, "\n", "no_items"),
        (LINES | {"Idempotency-Key": "x" * 201}, {}, "", "invalid_request"),
        ({"Content-Type": "application/json"}, SPEC, "{}", "invalid_request"),
        (PARQUET, {}, "PAR1", "invalid_request"),
    ],
)
async def test_unusable_requests(
    gateway: Gateway, headers: dict[str, str], params: dict[str, str], content: str, code: str
) -> None:
    """Each is refused with its code."""
    response = await gateway.http.post("/v1/jobs", content=content, headers=headers, params=params)
    assert_problem(response, 422, code)


async def test_limits(open_gateway: OpenGateway) -> None:
    """Of bytes, items, and jobs that are not finished."""
    limits: dict[str, Any] = {"max_job_bytes": 2048, "max_job_items": 4, "max_jobs": 1}
    gateway = await open_gateway(**limits)
    assert_problem(await sent(gateway, make_items(5)), 422, "too_many_items")
    assert_problem(await sent(gateway, make_items(100)), 413, "body_too_large")
    assert (await sent(gateway, make_items(4))).status_code == 202
    response = await sent(gateway, make_items(3))
    assert_problem(response, 503, "too_many_jobs")
    assert int(response.headers["Retry-After"]) > 0


async def test_same_key_is_the_same_job(gateway: Gateway) -> None:
    """If the content is; other content under it is refused, and nobody else's key matters."""
    first = await sent(gateway, make_items(3), "k")
    again = await sent(gateway, make_items(3), "k")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    assert_problem(await sent(gateway, make_items(4), "k"), 409, "idempotency_conflict")
    assert (await sent(gateway, make_items(3))).json()["id"] != first.json()["id"]
    assert (await gateway.http.get("/v1/jobs")).json()["total"] == 2


async def test_half_stored_job_is_in_nobodys_way(gateway: Gateway) -> None:
    """While it is being stored its key is taken; after a crash it is free before long."""
    first = (await sent(gateway, make_items(3), "k")).json()["id"]
    async with gateway.services.database.begin() as connection:
        await connection.execute(update(JOBS).values(status="storing", lease_until=1e12))
    response = await sent(gateway, make_items(3), "k")
    assert_problem(response, 503, "overloaded")
    assert int(response.headers["Retry-After"]) > 0
    async with gateway.services.database.begin() as connection:
        await connection.execute(update(JOBS).values(lease_until=1.0))
    again = await sent(gateway, make_items(3), "k")
    assert again.status_code == 202
    assert again.json()["id"] != first
    assert (await gateway.http.get("/v1/jobs")).json()["total"] == 1


async def test_jobs_are_their_callers_own(open_gateway: OpenGateway) -> None:
    """To others they are not there, but for those with the scope admin."""
    gateway = await open_gateway()
    jobs = gateway.services.jobs
    ann, bob = Caller("ann", frozenset({"score"})), Caller("bob", frozenset({"score"}))
    job_id = (await sent(gateway, make_items(1))).json()["id"]
    async with gateway.services.database.begin() as connection:
        await connection.execute(update(JOBS).values(caller="ann"))
    assert (await jobs.view(ann, job_id)).id == job_id
    assert (await jobs.view(Caller("root", SCOPES), job_id)).id == job_id
    with pytest.raises(UnknownJob):
        await jobs.view(bob, job_id)
    with pytest.raises(UnknownJob):
        await jobs.delete(bob, job_id)
    assert (await jobs.page(bob, 10, 0)).total == 0
    assert (await jobs.page(ann, 10, 0)).total == 1


async def test_newest_job_is_listed_first(gateway: Gateway) -> None:
    """Page by page."""
    ids = [(await sent(gateway, make_items(n))).json()["id"] for n in (1, 2, 3)]
    page = (await gateway.http.get("/v1/jobs", params={"limit": 2})).json()
    rest = (await gateway.http.get("/v1/jobs", params={"limit": 2, "offset": 2})).json()
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == ids[::-1]
    assert (page["total"], page["jobs"][0]["status"], page["jobs"][0]["eta_s"]) == (
        3, "queued", None,
    )  # fmt: skip


@pytest.mark.parametrize("job_id", ["0" * 32, "nope", "%00"])
async def test_unknown_job(gateway: Gateway, job_id: str) -> None:
    """Is 404, whatever is asked of it."""
    path = f"/v1/jobs/{job_id}"
    for asked in (path, f"{path}/results", f"{path}/events"):
        assert_problem(await gateway.http.get(asked), 404, "unknown_job")
    assert_problem(await gateway.http.delete(path), 404, "unknown_job")


async def test_caller_that_goes_away_leaves_nothing(gateway: Gateway) -> None:
    """Half a body is no job, and no fault of the service's."""
    app = create_app(gateway.services)
    parts = [body_of(make_items(2)).encode(), None]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        part = parts.pop(0) if parts else None
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "query_string": b""}
    headers = [(b"content-type", b"application/x-ndjson")]
    await app(scope | {"headers": headers, "http_version": "1.1"}, receive, send)
    assert sent[0]["status"] == 499
    assert (await gateway.http.get("/v1/jobs")).json()["total"] == 0


async def test_parquet_that_would_fill_the_memory_is_refused(gateway: Gateway) -> None:
    """A megabyte that unpacks to gigabytes; the gateway itself unpacks none of it."""
    columns = {"state_id": pa.DictionaryArray.from_arrays([0] * 300, ["x" * 8 * 10**6])}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, store_schema=False)
    assert file.tell() < 2**21
    response = await gateway.http.post("/v1/jobs", content=file.getvalue(), headers=PARQUET)
    assert_problem(response, 422, "invalid_request")
    assert "malloc of size" in response.json()["detail"]


async def test_results_can_be_taken_up_anywhere(gateway: Gateway) -> None:
    """From any offset, across pieces, and without waiting while nothing is there."""
    # 600 items of few kinds: three pieces.
    items = [make_items(1)[0].model_copy(update={"id": i}) for i in range(600)]
    job_id = (await sent(gateway, items)).json()["id"]
    path = f"/v1/jobs/{job_id}/results"
    assert (await gateway.http.get(path)).text == ""
    async with working(gateway):
        for offset in (0, 1, 255, 256, 511, 599, 600, 10**6):
            found = await results_of(gateway, job_id, offset=offset)
            assert [result.id for result in found] == list(range(offset, 600))
    assert len((await gateway.http.get(path)).text.splitlines()) == 600


async def test_events_tell_progress_and_the_end(gateway: Gateway) -> None:
    """As server-sent events; the last one says how it ended."""
    job_id = (await sent(gateway, make_items(3))).json()["id"]
    async with working(gateway):
        await results_of(gateway, job_id)
        response = await gateway.http.get(
            f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "nonsense"}
        )
    assert response.headers["content-type"].startswith("text/event-stream")
    fields = dict(line.split(": ", 1) for line in response.text.splitlines() if ": " in line)
    assert fields["event"] == "done"
    assert JobView.model_validate_json(fields["data"]).counts.scored == 3


async def test_deleted_job_is_gone(gateway: Gateway) -> None:
    """With its results; whoever follows it is told, and its key is free."""
    job_id = (await sent(gateway, make_items(3), "k")).json()["id"]
    job = await gateway.services.jobs.find(Caller("anyone", SCOPES), job_id)
    events = gateway.services.jobs.follower.events(job)
    assert (await anext(events)).event == "progress"
    assert (await gateway.http.delete(f"/v1/jobs/{job_id}")).status_code == 204
    last = await anext(events)
    assert (last.event, json.loads(str(last.data))["status"]) == ("cancelled", "cancelled")
    assert_problem(await gateway.http.get(f"/v1/jobs/{job_id}"), 404, "unknown_job")
    assert_problem(await gateway.http.delete(f"/v1/jobs/{job_id}"), 404, "unknown_job")
    assert (await sent(gateway, make_items(4), "k")).status_code == 202
    async with gateway.services.database.read() as connection:
        rows = (await connection.execute(select(JOB_CHUNKS.c.job_id))).scalars().all()
    assert job_id not in rows


async def test_followers_go_when_the_gateway_ends(gateway: Gateway) -> None:
    """A stream of a job that will not go on does not hold the gateway up."""
    job_id = (await sent(gateway, make_items(3))).json()["id"]
    job: Job = await gateway.services.jobs.find(Caller("anyone", SCOPES), job_id)
    gateway.services.jobs.hang_up()
    follower = gateway.services.jobs.follower
    assert [lines async for lines in follower.results(job, 0, is_following=True)] == []
    assert [event async for event in follower.events(job)] == []


async def test_old_and_half_stored_jobs_are_swept_away(gateway: Gateway) -> None:
    """Finished ones after the retention time, and what a crash has left."""
    async with working(gateway):
        old, new = [(await sent(gateway, make_items(n))).json()["id"] for n in (1, 2)]
        await results_of(gateway, old)
        await results_of(gateway, new)
    half, waiting = [(await sent(gateway, make_items(n))).json()["id"] for n in (3, 4)]
    async with gateway.services.database.begin() as connection:
        is_old, is_half = JOBS.c.job_id == old, JOBS.c.job_id == half
        month = 31 * 86400
        await connection.execute(
            update(JOBS).where(is_old).values(finished_at=JOBS.c.finished_at - month)
        )
        await connection.execute(
            update(JOBS).where(is_half).values(status="storing", lease_until=1.0)
        )
    await gateway.services.jobs.tidy()
    listed = (await gateway.http.get("/v1/jobs")).json()["jobs"]
    assert [job["id"] for job in listed] == [waiting, new]


async def test_metrics_count_jobs(gateway: Gateway) -> None:
    """By status, with the items that are left."""
    await sent(gateway, make_items(7))
    await gateway.services.jobs.tidy()
    page = (await gateway.http.get("/metrics")).text
    assert 'greenfork_jobs{status="queued"} 1.0' in page
    assert 'greenfork_jobs{status="done"} 0.0' in page
    assert "greenfork_job_items_left 7.0" in page
