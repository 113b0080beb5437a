"""The wall clock may jump: it notes moments, for people, and decides nothing."""

import ast
import asyncio
import json
import random
import time
from pathlib import Path

import pytest
from sqlalchemy import BindParameter, Float, bindparam

from reward_server.auth.key_store import KeyStore
from reward_server.jobs import leases, store
from reward_server.jobs.housekeeping import Housekeeping
from reward_server.storage.ledger import Ledger
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import GREEN

ROOT = Path(__file__).parents[3]
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
NOTED_IN = {
    "reward_server/auth/key_store.py": "when a key was made and revoked",
    "reward_server/page/service.py": "when what a page shows was so",
    "reward_server/storage/ledger.py": "when an outcome was recorded",
    "reward_server/uploads/service.py": "how old a file is that a killed gateway has left",
}
DAY_S = 86400.0


def wall_clocks_in(path: Path) -> set[str]:
    """The wall clocks that a module names."""
    named = (
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    )
    return {text for node in named if (text := ast.unparse(node)) in WALL_CLOCKS}


def test_wall_clock_is_read_where_a_moment_is_noted() -> None:
    """And nowhere else: what waits, expires or is measured asks a clock that never goes back."""
    found = {
        path.relative_to(ROOT).as_posix(): clocks
        for package in ("reward_server", "sim_workers", "shared")
        for path in (ROOT / package).rglob("*.py")
        if (clocks := wall_clocks_in(path))
    }
    assert found == {path: {"time.time"} for path in NOTED_IN}


@pytest.fixture
def _jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the wall clock, and at the database's, shows a time up to years away."""
    jumps = random.Random(5)
    real = time.time()

    def jumped() -> float:
        return real + jumps.choice((-1, 1)) * jumps.choice((1, 60, 3600, DAY_S, 20 * DAY_S))

    def database_clock(dialect: str) -> BindParameter[float]:
        return bindparam("now", callable_=jumped, type_=Float, unique=True)

    monkeypatch.setattr(time, "time", jumped)
    for module in (store, leases):
        monkeypatch.setattr(module, "database_clock", database_clock)
    for kept in (Ledger.__init__, KeyStore.__init__):
        monkeypatch.setattr(kept, "__defaults__", (jumped,))

    async def rest(_: Housekeeping) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Housekeeping, "run", rest)  # what is deleted for its age believes the clock


@pytest.fixture
async def gateway(_jumping: None, open_gateway: OpenGateway) -> Gateway:
    """A gateway in such a world."""
    return await open_gateway(max_items=2, max_pending_items=2)


async def test_scoring_in_a_world_of_jumps(gateway: Gateway) -> None:
    """Right, remembered, and ready."""
    yes = {"decision": {"kind": "extend", "extend": True}}
    for is_known in (False, True):
        (result,) = (await gateway.scored(yes, reward={"name": "queue"}))["results"]
        assert (result["reward"], result["cached"]) == (-2.0, is_known)
    for _ in range(3):
        assert (await gateway.http.get("/readyz")).status_code == 200


async def test_deadlines_and_waits_in_a_world_of_jumps(gateway: Gateway) -> None:
    """A deadline passes when it should; who is refused hears of a minute at most."""
    gateway.runner.gate.clear()
    yes, no = ({"decision": {"kind": "extend", "extend": value}} for value in (True, False))
    waiting = asyncio.create_task(gateway.score(yes, no, timeout_s=600))
    await gateway.runner.has_begun(2)
    assert all(590 < limit_s <= 600 for limit_s in gateway.runner.limits_s)
    refused = await gateway.score(yes)
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    gateway.runner.gate.set()
    assert (await waiting).status_code == 200
    gateway.runner.gate.clear()
    late = await gateway.score(yes | {"tls_id": "C"}, timeout_s=0.05, reward={"horizon_s": 7})
    assert late.status_code == 504


async def test_keys_in_a_world_of_jumps(gateway: Gateway) -> None:
    """A key is valid from when it is made until it is revoked."""
    keys = KeyStore(gateway.services.database)
    key = await keys.create("ann", ["score"])
    found = await keys.find(key.key_id)
    assert found is not None
    headers = {"Authorization": f"Bearer {key.secret}"}
    for _ in range(3):
        assert (await gateway.http.get("/v1/info", headers=headers)).status_code == 200
    await keys.revoke("ann")
    assert await keys.find(key.key_id) is None


async def test_jobs_in_a_world_of_jumps(gateway: Gateway) -> None:
    """A job is done once, whatever its leases seem to be, and its results stay."""
    decisions = [{"kind": "phase", "next_phase": 2, "green_s": green_s} for green_s in range(5, 45)]
    item = {"state_id": GREEN, "tls_id": "C"}
    lines = "".join(json.dumps(item | {"decision": decision}) + "\n" for decision in decisions)
    jobs = gateway.services.jobs
    await jobs.start()
    try:
        sent = await gateway.http.post(
            "/v1/jobs",
            params={"spec": '{"reward": {"name": "queue"}}'},
            content=lines,
            headers={"Content-Type": "application/x-ndjson"},
        )
        path = sent.headers["location"]
        text = (await gateway.http.get(f"{path}/results", params={"follow": True})).text
        rewards = [json.loads(line)["reward"] for line in text.splitlines()]
        assert rewards == [-(2 + green_s / 10) for green_s in range(5, 45)]
        view = (await gateway.http.get(path)).json()
        assert (view["status"], view["done"], view["counts"]["rollouts"]) == ("done", 40, 40)
        assert view["items_per_s"] > 0
    finally:
        await jobs.close()
