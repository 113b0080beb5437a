"""Ten times more work than fits: what is admitted is right and in time, the rest is refused.

Every reward is compared with what came out of longer rollouts when there was nothing else to do:
the beginning of a queue is the same however long it is watched.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from reward_server.auth.key_store import KeyStore
from reward_server.storage.database import Database
from reward_server.storage.urls import sqlite_url
from tests.integration.conftest import WITHOUT_END, read_rows
from tests.integration.reward_server.serving import served

MAX_ITEMS = 16
MAX_PENDING_ITEMS = 64
SETTINGS = {"MAX_ITEMS": str(MAX_ITEMS), "MAX_PENDING_ITEMS": str(MAX_PENDING_ITEMS)}
LONG_S = 60
ENDLESS = {"name": "queue", "horizon_s": 3600}
"""Of items with many seeds: minutes of work."""
MARGIN_S = 20.0
"""On a loaded machine an answer may take so much longer than its ``timeout_s``."""
SOON_S = 60.0
BATCH = 8

Item = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """A gateway with little room, and the rewards that it must give."""

    url: str
    keys: dict[str, str]
    items: list[Item]
    queues: list[list[int]]
    """Of each item, the vehicles that wait after each of ``LONG_S`` seconds."""
    data_dir: Path

    def rewards(self, horizon_s: int) -> list[float]:
        """The right ones."""
        return [-sum(queue[:horizon_s]) / horizon_s for queue in self.queues]

    def client(self, name: str) -> httpx.AsyncClient:
        """Calls as the owner of a key, over as many connections as it takes."""
        headers = {"Authorization": f"Bearer {self.keys[name]}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=300, limits=limits)

    def batches(self) -> Iterator[list[int]]:
        """The positions of all items, a request's at a time."""
        positions = list(range(len(self.items)))
        return iter([positions[i : i + BATCH] for i in range(0, len(positions), BATCH)])

    async def metrics(self) -> dict[str, float]:
        """The numbers of the metrics page that have no labels."""
        async with httpx.AsyncClient() as http:
            page = (await http.get(f"{self.url}/metrics", timeout=60)).text
        lines = [line.split() for line in page.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines if "{" not in name}

    async def until(self, is_true: Callable[[dict[str, float]], bool]) -> None:
        """Returns when the metrics are as they should be."""
        end_s = time.monotonic() + SOON_S
        while not is_true(metrics := await self.metrics()):
            assert time.monotonic() < end_s, metrics
            await asyncio.sleep(0.05)

    async def is_idle(self) -> None:
        """Returns when nothing is left to do; the gateway is ready, and lost no worker."""
        names = ("pending_items", "pool_busy", "pool_queued")
        await self.until(lambda m: not any(m[f"greenfork_{name}"] for name in names))
        assert (await self.metrics())["greenfork_workers_lost_total"] == 0
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{self.url}/readyz", timeout=60)).status_code == 200

    def memory_mb(self) -> float:
        """What the gateway's own process has in memory."""
        (process,) = [
            folder
            for folder in Path("/proc").glob("[0-9]*")
            if str(self.data_dir) in _arguments(folder)
        ]
        lines = (process / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


@dataclass(frozen=True)
class Answer:
    """What came back to one request."""

    positions: list[int]
    horizon_s: int
    timeout_s: float
    response: httpx.Response
    took_s: float

    def check(self, site: Site) -> None:
        """Fails unless it is right, or an honest refusal."""
        rewards = site.rewards(self.horizon_s)
        assert self.took_s < self.timeout_s + MARGIN_S
        match self.response.status_code:
            case 200:
                results = self.response.json()["results"]
                assert len(results) == len(self.positions)
                for position, result in zip(self.positions, results, strict=True):
                    if result["status"] == "failed":
                        assert result["error"]["code"] == "deadline_exceeded"
                        assert result["reward"] is None
                    else:
                        assert result["status"] == "scored"
                        assert result["reward"] == rewards[position]
            case 503:
                assert self.response.json()["code"] == "overloaded"
                assert 1 <= int(self.response.headers["retry-after"]) <= 60
            case 504:
                assert self.response.json()["code"] == "deadline_exceeded"
            case other:
                pytest.fail(f"status {other}: {self.response.text}")


@pytest.fixture(scope="module")
def site(
    dataset_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A small gateway with two keys, and what a quiet one answered."""
    dataset = dataset_of(WITHOUT_END)
    items = [
        {"state_id": row["state_id"], "tls_id": row["tls_id"], "decision": decision}
        for extend_s in range(1, 9)
        for row in read_rows(dataset)
        for decision in [{"kind": "extend", "extend": True, "extend_s": extend_s}]
    ]
    data_dir = tmp_path_factory.mktemp("soak")
    keys = asyncio.run(_make_keys(data_dir, "greedy", "modest"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SETTINGS.items():
            environment.setenv(f"GREENFORK_SERVER_{name}", value)
        with served(dataset, data_dir=data_dir) as url:
            site = Site(url, keys, items, [], data_dir)
            site.queues.extend(asyncio.run(_queues(site)))
            assert len(set(site.rewards(20))) > 8, "if all were equal, a mix-up would not show"
            yield site


async def _queues(site: Site) -> list[list[int]]:
    queues: list[list[int]] = []
    async with site.client("modest") as client:
        for positions in site.batches():
            request = {
                "items": [site.items[position] for position in positions],
                "reward": _queue(LONG_S),
                "series": True,
                "timeout_s": 300,
            }
            answer = (await client.post("/v1/score", json=request)).raise_for_status()
            queues += [result["metrics"]["series"] for result in answer.json()["results"]]
    return queues


async def _make_keys(data_dir: Path, *names: str) -> dict[str, str]:
    database = Database(sqlite_url(data_dir / "ledger.sqlite"))
    await database.start()
    store = KeyStore(database)
    keys = {name: (await store.create(name, ["score"])).secret for name in names}
    await database.close()
    return keys


def _arguments(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().rstrip("\0").split("\0")
    except OSError:
        return []


async def _ask(
    client: httpx.AsyncClient,
    site: Site,
    positions: list[int],
    horizon_s: int,
    timeout_s: float = 120.0,
) -> Answer:
    items = [site.items[position] for position in positions]
    begin_s = time.monotonic()
    request = {"items": items, "reward": _queue(horizon_s), "timeout_s": timeout_s}
    response = await client.post("/v1/score", json=request)
    return Answer(positions, horizon_s, timeout_s, response, time.monotonic() - begin_s)


def _queue(horizon_s: int) -> dict[str, Any]:
    return {"name": "queue", "horizon_s": horizon_s}


def _endless(site: Site, count: int, first_seed: int) -> dict[str, Any]:
    """A request of ``count`` item-seeds that takes minutes."""
    reward = ENDLESS | {"seeds": list(range(first_seed, first_seed + count))}
    return {"items": site.items[:1], "reward": reward, "timeout_s": 3600}


async def test_ten_times_what_fits(site: Site) -> None:
    """Two callers and a bulk job at once: each answer is right, or says when to ask again."""
    async with site.client("greedy") as greedy, site.client("modest") as modest:
        lines = "".join(json.dumps(item) + "\n" for item in site.items)
        job = await modest.post(
            "/v1/jobs",
            params={"spec": json.dumps({"reward": _queue(40)})},
            content=lines,
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert job.status_code == 202
        answers: list[Answer] = []
        for horizon_s, timeout_s in ((20, 0.2), (20, 120.0), (30, 120.0)):
            asked = [
                _ask(client, site, positions, horizon_s, timeout_s)
                for positions in site.batches()
                for client in (greedy,) * 7 + (modest,) * 3
            ]
            assert len(asked) * BATCH >= 10 * MAX_PENDING_ITEMS
            answers += await asyncio.gather(*asked)
        await _job_is_right(modest, job.json()["id"], site)
    for answer in answers:
        answer.check(site)
    statuses = [answer.response.status_code for answer in answers]
    assert statuses.count(200) > 0
    assert statuses.count(503) > 0
    await site.is_idle()


async def _job_is_right(client: httpx.AsyncClient, job_id: str, site: Site) -> None:
    async with asyncio.timeout(120):
        text = (await client.get(f"/v1/jobs/{job_id}/results", params={"follow": True})).text
    results = [json.loads(line) for line in text.splitlines()]
    assert [result["reward"] for result in results] == site.rewards(40)
    await client.delete(f"/v1/jobs/{job_id}")


async def test_refusals_do_not_wait_and_the_modest_are_let_in(site: Site) -> None:
    """A caller that takes all it can keeps nobody out, and is told so while its work goes on."""
    async with site.client("greedy") as greedy, site.client("modest") as modest:
        first = next(_FIRST_SEEDS)
        flood = [
            asyncio.create_task(greedy.post("/v1/score", json=_endless(site, MAX_ITEMS, seed)))
            for seed in range(first, first + 100 * MAX_ITEMS, MAX_ITEMS)
        ]
        try:
            await site.until(lambda m: m["greenfork_pending_items"] >= MAX_PENDING_ITEMS / 2)
            await _refused(flood)
            for number in range(4):
                answer = await _ask(modest, site, [number], 25)
                assert answer.response.status_code == 200, answer.response.text
                answer.check(site)
            under_way = [task for task in flood if not task.done()]
            assert under_way, "the greedy one's work was to take minutes"
            assert len(under_way) * MAX_ITEMS <= MAX_PENDING_ITEMS
        finally:
            for task in flood:
                task.cancel()
            await asyncio.gather(*flood, return_exceptions=True)
    await site.is_idle()


async def _refused(flood: list[asyncio.Task[httpx.Response]]) -> None:
    """Returns when all of the flood is refused but what fits."""
    end_s = time.monotonic() + SOON_S
    while sum(not task.done() for task in flood) * MAX_ITEMS > MAX_PENDING_ITEMS:
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)
    assert {task.result().status_code for task in flood if task.done()} == {503}


async def test_job_does_not_keep_a_trainer_waiting(site: Site) -> None:
    """Requests are answered while a job that takes minutes is running."""
    async with site.client("modest") as trainer:
        first = next(_FIRST_SEEDS)
        spec = {"reward": ENDLESS | {"seeds": list(range(first, first + 32))}}
        job = await trainer.post(
            "/v1/jobs",
            params={"spec": json.dumps(spec)},
            content="".join(json.dumps(item) + "\n" for item in site.items),
            headers={"Content-Type": "application/x-ndjson"},
        )
        await site.until(lambda m: m["greenfork_pool_queued"] > 0)
        for positions in islice(site.batches(), 6):
            answer = await _ask(trainer, site, positions, 35)
            assert answer.response.status_code == 200
            answer.check(site)
        path = f"/v1/jobs/{job.json()['id']}"
        assert (await trainer.get(path)).json()["status"] == "running"
        assert (await trainer.delete(path)).status_code == 204
    await site.is_idle()


async def test_memory_does_not_grow(site: Site) -> None:
    """A few thousand items later the gateway is about as large as before."""
    async with site.client("modest") as client:
        await _ask_often(client, site, 4)
        before_mb = site.memory_mb()
        await _ask_often(client, site, 12)
        assert site.memory_mb() - before_mb < 64
    await site.is_idle()


async def _ask_often(client: httpx.AsyncClient, site: Site, times: int) -> None:
    for _ in range(times):
        for positions in site.batches():
            (await _ask(client, site, positions, 20)).check(site)


_FIRST_SEEDS = iter(range(0, 2**31 - 10_000, 10_000))
