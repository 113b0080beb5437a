"""Two gateways on one PostgreSQL: whichever is asked, the answers, keys and jobs are the same."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reward_server.auth.key_store import KeyStore
from reward_server.storage.database import Database
from reward_server.storage.urls import parse_database_url
from shared.dataset import Row
from shared.errors import ConfigError
from shared.rewards import RewardSpec, reward_of
from tests.integration.conftest import read_rows
from tests.integration.reward_server.postgres import PostgresServer
from tests.integration.reward_server.serving import served

SOON_S = 60.0
SPEC = RewardSpec(name="queue", horizon_s=60)


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer) -> str:
    """Of an empty database."""
    return postgres.new_database()


@pytest.fixture(scope="module")
def urls(
    dataset_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
) -> Iterator[tuple[str, str]]:
    """Two gateways that know of each other by their database only."""
    dataset = dataset_of("crossing")
    with pytest.MonkeyPatch.context() as environment, ExitStack() as gateways:
        environment.setenv("GREENFORK_SERVER_DATABASE_URL", database_url)
        folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
        with ThreadPoolExecutor() as threads:
            one, other = threads.map(
                lambda folder: gateways.enter_context(served(dataset, data_dir=folder)), folders
            )
        yield one, other


@pytest.fixture(scope="module")
def rows(dataset_of: Callable[[str], Path]) -> list[Row]:
    """What the builder knows."""
    return [Row.model_validate(row) for row in read_rows(dataset_of("crossing"))]


@pytest.fixture(scope="module")
def key(database_url: str, urls: tuple[str, str]) -> dict[str, str]:
    """The header of a key that was made while both gateways were running."""
    return {"Authorization": f"Bearer {asyncio.run(_make_key(database_url, 'trainer'))}"}


async def _make_key(url: str, name: str) -> str:
    async with _keys(url) as keys:
        return (await keys.create(name, ["score"])).secret


@asynccontextmanager
async def _keys(url: str) -> AsyncIterator[KeyStore]:
    database = Database(parse_database_url(url))
    await database.start()
    try:
        yield KeyStore(database)
    finally:
        await database.close()


def _items(rows: list[Row]) -> list[dict[str, Any]]:
    return [
        {"state_id": r.state_id, "tls_id": r.tls_id, "decision": outcome.decision.model_dump()}
        for r in rows
        for outcome in r.outcomes or ()
    ]


def _rewards(rows: list[Row]) -> list[float]:
    return [reward_of(SPEC, o.metrics, None) for row in rows for o in row.outcomes or ()]


async def test_same_items_at_the_same_time(
    urls: tuple[str, str], rows: list[Row], key: dict[str, str]
) -> None:
    """All answers are equal and right; afterwards both know them, and a third time nobody asks."""
    items = _items(rows)
    request = {"items": items, "reward": SPEC.model_dump(exclude_none=True)}
    async with httpx.AsyncClient(headers=key, timeout=120) as http:
        asked = [http.post(f"{url}/v1/score", json=request) for url in urls * 4]
        answers = await asyncio.gather(*asked)
        again = [await http.post(f"{url}/v1/score", json=request) for url in urls]
    for answer in (*answers, *again):
        assert answer.status_code == 200, answer.text
        assert [result["reward"] for result in answer.json()["results"]] == _rewards(rows)
    for answer in again:
        counts = answer.json()["counts"]
        assert (counts["cached"], counts["rollouts"]) == (len(items), 0)


async def test_work_of_one_is_known_to_the_other(
    urls: tuple[str, str], rows: list[Row], key: dict[str, str]
) -> None:
    """What one has scored the other one has on record."""
    reward = {"name": "queue_gain", "horizon_s": 25}
    items = _items(rows)
    request = {"items": items, "reward": reward, "series": True}
    async with httpx.AsyncClient(headers=key, timeout=120) as http:
        first, second = [(await http.post(f"{url}/v1/score", json=request)).json() for url in urls]
    assert first["counts"]["cached"] == 0
    assert second["counts"]["cached"] == len(items)
    assert second["counts"]["rollouts"] == 0
    for one, other in zip(first["results"], second["results"], strict=True):
        assert one | {"cached": True} == other


async def test_key_opens_both_and_revoked_neither(
    urls: tuple[str, str], database_url: str, key: dict[str, str]
) -> None:
    """Wherever it was made; a gateway that has just seen it takes a few seconds to forget it."""
    secret = await _make_key(database_url, "guest")
    async with httpx.AsyncClient(timeout=60) as http:
        for headers, status in (
            (key, 200),
            ({"Authorization": f"Bearer {secret}"}, 200),
            ({}, 401),
        ):
            for url in urls:
                answer = await http.get(f"{url}/v1/states", headers=headers)
                assert answer.status_code == status
        async with _keys(database_url) as keys:
            with pytest.raises(ConfigError, match="another name"):
                await keys.create("guest", ["score"])
            await keys.revoke("guest")
        headers = {"Authorization": f"Bearer {secret}"}
        for url in urls:
            end_s = time.monotonic() + SOON_S
            while (await http.get(f"{url}/v1/states", headers=headers)).status_code != 401:
                assert time.monotonic() < end_s
                await asyncio.sleep(0.2)


async def test_job_is_everybodys_to_read(
    urls: tuple[str, str], rows: list[Row], key: dict[str, str]
) -> None:
    """Sent to one, sent again to the other, it is one job, and reads the same from both."""
    content = "".join(json.dumps(item) + "\n" for item in _items(rows) * 8)
    headers = key | {"Content-Type": "application/x-ndjson", "Idempotency-Key": "once"}
    spec = {"spec": json.dumps({"reward": SPEC.model_dump(exclude_none=True)})}
    async with httpx.AsyncClient(headers=headers, timeout=120) as http:
        sent = [await http.post(f"{url}/v1/jobs", params=spec, content=content) for url in urls]
        assert [answer.status_code for answer in sent] == [202, 200]
        path = sent[0].headers["location"]
        assert sent[1].headers["location"] == path
        read = [
            await http.get(f"{url}{path}/results", params={"follow": True})
            for url in reversed(urls)
        ]
        assert read[0].content == read[1].content
        rewards = [json.loads(line)["reward"] for line in read[0].text.splitlines()]
        assert rewards == _rewards(rows) * 8
        assert (await http.delete(f"{urls[1]}{path}")).status_code == 204
        assert (await http.get(f"{urls[0]}{path}")).status_code == 404
        for strange in ("a%00b", "%ed%a0%80", "x" * 64):
            assert (await http.get(f"{urls[0]}/v1/jobs/{strange}")).status_code in (404, 422)
