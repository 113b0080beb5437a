"""``greenfork serve`` and ``greenfork score`` as processes, with real Ray and real SUMO."""

import json
import signal
import stat
import subprocess
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import psutil

from shared.dataset import Row
from shared.decisions import Extend
from shared.rewards import RewardSpec, reward_of
from tests.integration.conftest import read_rows
from tests.integration.reward_server.serving import GREENFORK, served


def score(url: str, folder: Path, items: list[dict[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
    """Scores items with the command; gives its summary and the rewards."""
    source, output = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(json.dumps(item) + "\n" for item in items))
    files = ["--input", str(source), "--output", str(output)]
    ran = subprocess.run(
        [*GREENFORK, "score", "--url", url, *files, "--json"], capture_output=True, check=True
    )
    rewards = [json.loads(line)["reward"] for line in output.read_text().splitlines()]
    return json.loads(ran.stdout), rewards


def test_served_rewards_are_those_of_the_builder_and_outlive_the_server(
    dataset_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """To the last bit; a second server finds them in the ledger, and neither leaves anything.

    Nobody but its user can read its data, and nothing of it listens beyond this machine.
    """
    dataset, data_dir = dataset_of("crossing"), tmp_path / "data"
    rows = [Row.model_validate(row) for row in read_rows(dataset)]
    items = [
        {"state_id": row.state_id, "tls_id": row.tls_id, "decision": outcome.decision.model_dump()}
        for row in rows
        for outcome in row.outcomes or ()
    ]
    spec = RewardSpec(name="queue", horizon_s=60)
    with served(dataset, data_dir=data_dir, signum=signal.SIGINT, has_own_ray=True) as url:
        summary, rewards = score(url, tmp_path, items)
        by_queue = _queue_rewards(url, items)
        offered, mode = _listening_on(url), stat.S_IMODE(data_dir.stat().st_mode)
    assert len(offered) > 3, "Ray listens, too"
    assert {address for address in offered if not ip_address(address).is_loopback} == set()
    assert mode == 0o700
    ledger = data_dir / "ledger.sqlite"
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
    assert (summary["scored"], summary["failed"], summary["cached"]) == (len(items), 0, 0)
    built = [reward_of(spec, o.metrics, None) for row in rows for o in row.outcomes or ()]
    assert by_queue == built
    assert {Extend.model_validate(item["decision"]).extend for item in items} == {True, False}
    with served(dataset, data_dir=data_dir, signum=signal.SIGTERM) as url:
        again, same = score(url, tmp_path, items)
    assert same == rewards
    assert (again["cached"], again["rollouts"]) == (len(items), 0)


def _listening_on(url: str) -> list[str]:
    """The addresses on which the server of a URL and its children listen, Ray among them."""
    port = httpx.URL(url).port
    (server,) = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }
    family = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    return [
        each.laddr.ip.removeprefix("::ffff:")
        for process in family
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]


def _queue_rewards(url: str, items: list[dict[str, Any]]) -> list[float]:
    """The plain queue reward, asked for without our client."""
    request = {"items": items, "reward": {"name": "queue", "horizon_s": 60}}
    answer = httpx.post(f"{url}/v1/score", json=request, timeout=60).raise_for_status()
    return [result["reward"] for result in answer.json()["results"]]
