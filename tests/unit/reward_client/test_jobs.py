"""The client of bulk jobs against services that answer, break off, restart and refuse."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reward_client import RetryPolicy
from reward_client.jobs import JobClient
from shared.errors import InputError, ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from shared.wire.jobs import JobSpec
from tests.unit.reward_client.fake_service import items, problem

JOB_ID = "0" * 32
Answer = Callable[[httpx.Request], httpx.Response] | httpx.Response | Exception


def view(status: str = "running", done: int = 0, **fields: Any) -> httpx.Response:  # noqa: ANN401
    """A job of ten items."""
    counts = {"scored": done, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 0}
    body = {"id": JOB_ID, "status": status, "items": 10, "done": done, "counts": counts}
    rest = {"reward": {}, "series": False, "created_at": "2026-01-02T03:04:05Z"}
    return httpx.Response(200, json=body | rest | fields)


def line(number: int) -> bytes:
    """A result. Its id holds what is a line's end to some, but not to JSON."""
    result = {"id": f"{number}\u2028\x85", "status": "scored", "reward": float(number)}
    return json.dumps(result, ensure_ascii=False).encode() + b"\n"


class Broken(httpx.AsyncByteStream):
    """A body that comes in parts, and breaks off."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self._parts = parts
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        if self._error is not None:
            raise self._error


def results(*parts: bytes, error: Exception | None = None) -> httpx.Response:
    """Some results."""
    return httpx.Response(200, stream=Broken(*parts, error=error))


class Service:
    """Answers with a script."""

    def __init__(self, *script: Answer) -> None:
        self._script = list(script)
        self.requests: list[httpx.Request] = []
        self.waits_s: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Takes the next step."""
        await request.aread()
        self.requests.append(request)
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step(request) if callable(step) else step

    def client(self, retries: int = 2) -> JobClient:
        """A client that does not really wait."""

        async def sleep(seconds: float) -> None:
            self.waits_s.append(seconds)

        policy = RetryPolicy(retries=retries, sleep=sleep, rand=lambda: 1.0)
        transport = httpx.MockTransport(self)
        return JobClient("http://s", None, policy, policy, transport)

    def asked(self) -> list[str]:
        """What was asked for."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]


def follow(offset: int) -> str:
    """How results are asked for."""
    return f"GET /v1/jobs/{JOB_ID}/results?follow=true&offset={offset}"


SHOW = f"GET /v1/jobs/{JOB_ID}"


async def test_job_is_sent_again_under_the_same_key(tmp_path: Path) -> None:
    """From the beginning of the file, whatever became of the first time."""
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"x" * 3_000_000)
    service = Service(httpx.ReadError("reset"), problem(503, "overloaded"), view("queued"))
    spec = JobSpec(reward=RewardSpec(name="queue"), series=True)
    async with service.client() as client:
        assert (await client.submit(source, spec)).id == JOB_ID
    assert len({r.headers["Idempotency-Key"] for r in service.requests}) == 1
    assert all(r.content == source.read_bytes() for r in service.requests)
    sent = service.requests[-1]
    assert sent.headers["Content-Type"] == "application/x-ndjson"
    assert JobSpec.model_validate_json(sent.url.params["spec"]) == spec
    assert service.waits_s == [0.25, 0.5]


async def test_items_and_tables_are_sent_as_what_they_are(tmp_path: Path) -> None:
    """Lines for items, and Parquet by its name."""
    source = tmp_path / "in.parquet"
    source.write_bytes(b"PAR1")
    service = Service(view(), view())
    async with service.client() as client:
        await client.submit(items(2500), key="mine")
        await client.submit(source)
    lines, table = service.requests
    assert [json.loads(text)["id"] for text in lines.content.splitlines()] == list(range(2500))
    assert lines.headers["Idempotency-Key"] == "mine"
    assert table.headers["Content-Type"] == "application/vnd.apache.parquet"
    assert table.content == b"PAR1"


async def test_what_cannot_be_sent(tmp_path: Path) -> None:
    """A refusal is told at once, a file that is not there is named, retries are bounded."""
    down = [httpx.ConnectError("refused")] * 3
    service = Service(problem(422, "invalid_request"), *down)
    async with service.client() as client:
        with pytest.raises(ServiceRefused) as refused:
            await client.submit(items(1))
        assert refused.value.code == "invalid_request"
        with pytest.raises(ServiceUnreachable):
            await client.submit(items(1))
        with pytest.raises(InputError, match=r"nowhere\.jsonl"):
            await client.submit(tmp_path / "nowhere.jsonl")
    assert len(service.requests) == 4


async def test_results_are_taken_up_where_they_broke_off() -> None:
    """In the middle of a line, on a refused connection, or ended politely: each once, in order."""
    half = line(3)[:7]
    service = Service(
        results(line(0) + line(1)[:5], line(1)[5:] + line(2), half, error=httpx.ReadError("gone")),
        httpx.ConnectError("restarting"),
        problem(503, "not_ready"),
        results(line(3), line(4)),
        view("running", 5),
        results(*map(line, range(5, 10))),
        view("done", 10),
    )
    async with service.client(retries=3) as client:
        found = [result async for result in client.results(JOB_ID)]
    assert [result.reward for result in found] == list(range(10))
    assert [result.id for result in found] == [f"{i}\u2028\x85" for i in range(10)]
    offsets = [follow(0), follow(3), follow(3), follow(3), SHOW, follow(5), SHOW]
    assert service.asked() == offsets
    assert service.waits_s == [0.25, 0.5, 1.0, 0.25]


async def test_silence_is_no_fault() -> None:
    """However often nothing comes for a while: the job may have to wait for its turn."""
    quiet = httpx.ReadTimeout("silence")
    silences = [step for _ in range(9) for step in (results(error=quiet), view("running"))]
    service = Service(*silences, results(*map(line, range(10))), view("done", 10))
    async with service.client() as client:
        assert len([result async for result in client.results(JOB_ID)]) == 10


async def test_service_that_stays_away_is_given_up() -> None:
    """After the retries; every result starts them anew."""
    gone = httpx.ReadError("gone")
    service = Service(results(line(0), error=gone), *[gone] * 2)
    async with service.client() as client:
        with pytest.raises(ServiceUnreachable):
            _ = [result async for result in client.results(JOB_ID)]
    assert service.asked() == [follow(0), follow(1), follow(1)]


async def test_failed_and_deleted_jobs_end_the_results() -> None:
    """With the reason, once what there is has been told."""
    error = {"code": "unknown_state", "message": "no state", "retryable": False}
    failed = Service(results(line(0)), view("failed", 5, error=error))
    deleted = Service(results(line(0)), problem(404, "unknown_job"))
    for service, code in ((failed, "unknown_state"), (deleted, "unknown_job")):
        async with service.client() as client:
            told = client.results(JOB_ID)
            assert (await anext(told)).reward == 0.0
            with pytest.raises(ServiceRefused) as refused:
                await anext(told)
        assert refused.value.code == code


async def test_following_tells_what_changed_until_the_end() -> None:
    """Also across a restart."""
    gone = httpx.ConnectError("gone")
    service = Service(view("queued"), view("queued"), gone, view("running", 4), view("done", 10))
    async with service.client() as client:
        told = [(job.status, job.done) async for job in client.follow(JOB_ID)]
    assert told == [("queued", 0), ("running", 4), ("done", 10)]


async def test_the_rest_is_asked_for_where_it_is() -> None:
    """Show, list, wait, delete."""
    page = httpx.Response(200, json={"jobs": [], "total": 0, "limit": 5, "offset": 2})
    service = Service(view("done", 10), page, view("done", 10), httpx.Response(204))
    async with service.client() as client:
        assert (await client.job(JOB_ID)).done == 10
        assert (await client.jobs(limit=5, offset=2)).total == 0
        assert (await client.wait(JOB_ID)).status == "done"
        await client.delete(JOB_ID)
    assert service.asked() == [SHOW, "GET /v1/jobs?limit=5&offset=2", SHOW, f"DELETE {SHOW[4:]}"]
