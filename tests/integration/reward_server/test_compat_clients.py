"""Other trainers against a served dataset: their own HTTP client, and exact rewards.

The clients are told again in our words, from the files that the modules of
:mod:`reward_server.http.compat` name. OpenRLHF and verl themselves are asked in ``tests/clients``.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from reward_client import SyncRewardClient
from shared.decisions import Extend
from shared.language.completions import render_completion
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem
from tests.integration.conftest import read_rows
from tests.integration.reward_server.serving import served

YES = render_completion(Extend(extend=True))
TERMS = "reward=queue&horizon_s=20&timeout_s=60"


async def slime(url: str, row: dict[str, Any]) -> float:
    """``remote_rm``: a shared session, and the answer under ``--reward-key reward``."""
    label = {key: row[key] for key in ("state_id", "tls_id", "decision_kind")}
    payload = {"prompt": row["prompt"], "response": YES, "label": label}
    connector = aiohttp.TCPConnector(limit=64)
    timeout = aiohttp.ClientTimeout(total=120)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post(f"{url}/compat/slime?{TERMS}", json=payload) as response,
    ):
        response.raise_for_status()
        return float((await response.json())["reward"])


async def nemo_gym(url: str, row: dict[str, Any]) -> float:
    """``nemo_gym.server_utils.request``: bytes of JSON, and the answer as a verify response."""
    text = {"type": "output_text", "text": YES, "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [text]}
    body = {
        "responses_create_params": {"input": row["prompt"]},
        "verifier_metadata": {key: row[key] for key in ("state_id", "tls_id", "decision_kind")},
        "response": {"id": "r", "object": "response", "output": [message]},
    }
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        response = await client.request(
            method="POST",
            url=f"{url}/compat/nemo-gym/verify?{TERMS}",
            data=json.dumps(body).encode(),
            headers=headers,
        )
        assert response.ok, await response.text()
        verified = json.loads(await response.read())
    assert {key: verified[key] for key in body} == body
    return float(verified["reward"])


def blocking(url: str, row: dict[str, Any]) -> float:
    """Our own client."""
    item = ScoreItem(
        state_id=row["state_id"], tls_id=row["tls_id"], decision=Extend(extend=True), group_id=1
    )
    with SyncRewardClient(url) as client:
        response = client.score([item], RewardSpec(name="queue", horizon_s=20), 60)
    reward = response.results[0].reward
    assert reward is not None
    return reward


@pytest.fixture(scope="module")
def rows(dataset_of: Callable[[str], Path]) -> list[dict[str, Any]]:
    """The rows of the served dataset."""
    return read_rows(dataset_of("crossing"))


def test_protocols_give_the_exact_reward(
    dataset_of: Callable[[str], Path], rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """To the last bit, in both protocols, through the HTTP client that the trainer uses."""
    with served(dataset_of("crossing"), data_dir=tmp_path / "data") as url:
        for row in rows[:3]:
            rewards = [asyncio.run(client(url, row)) for client in (slime, nemo_gym)]
            assert rewards == [blocking(url, row)] * 2
        pages = httpx.get(f"{url}/metrics").text
    assert 'greenfork_items_total{code="",status="scored"} 9.0' in pages
