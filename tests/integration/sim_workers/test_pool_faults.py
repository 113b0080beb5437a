"""Ray's actors are killed and files are damaged; each rollout gets its value or its error."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from shared.dataset import DatasetLayout
from shared.decisions import Extend
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.messages import Rollout
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.pool.rollout import make_rollout
from sim_workers.states.store import StateStore
from tests.integration.conftest import WITHOUT_END, read_rows
from tests.integration.sim_workers.process_tree import (
    children,
    descendants,
    fork_servers_of,
    is_alive,
    wait_for,
)
from tests.integration.sim_workers.rolling import rollout_in
from tests.unit.sim_workers.handmade_datasets import replace_state

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_S = 120.0
GOOD, OTHER_VERSION, CHANGED, GONE, HOMELESS = range(5)


@pytest.fixture(scope="module")
def folders(
    dataset_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The crossing's states, of which some are damaged, and a state without its scenario."""
    whole, homeless = (tmp_path_factory.mktemp("damaged") / name for name in ("whole", "homeless"))
    for folder in (whole, homeless):
        shutil.copytree(dataset_of(WITHOUT_END), folder)
    ids = _ids(whole)
    states = DatasetLayout(whole)
    other = states.state_file(ids[OTHER_VERSION]).read_bytes()
    replace_state(whole, ids[OTHER_VERSION], other.replace(b'"1.28.0"', b'"1.20.0"', 1))
    with states.state_file(ids[CHANGED]).open("ab") as file:
        file.write(b"\n")
    states.state_file(ids[GONE]).unlink()
    _keep_one_without_scenario(homeless, ids[HOMELESS])
    return [whole, homeless]


def _keep_one_without_scenario(folder: Path, state_id: str) -> None:
    layout = DatasetLayout(folder)
    (line,) = (line for line in layout.index.read_text().splitlines() if state_id in line)
    record = json.loads(line) | {"scenario_id": "gone-000000000000"}
    layout.index.write_text(json.dumps(record) + "\n")
    content = layout.state_file(state_id).read_bytes()
    replace_state(folder, state_id, content + b"\n")
    shutil.rmtree(layout.scenario)


def _ids(folder: Path) -> list[str]:
    lines = DatasetLayout(folder).index.read_text().splitlines()
    return [json.loads(line)["state_id"] for line in lines]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(folders: list[Path]) -> AsyncIterator[RolloutPool]:
    """Two workers on a Ray of their own."""
    pool = RolloutPool(StateStore.open(folders), PoolSettings(2, None, 60, 8, 2000))
    await pool.start()
    yield pool
    await pool.close()


def _rollout(
    pool: RolloutPool, state_id: str, horizon_s: int = 60, limit_s: float = LIMIT_S
) -> Rollout:
    rollout = make_rollout(pool._store.get(state_id), {"c": Extend(extend=True)}, horizon_s)
    return rollout.model_copy(update={"limit_s": limit_s})


async def _failure(pool: RolloutPool, rollout: Rollout) -> ErrorInfo:
    outcome = await pool.run(rollout)
    assert outcome.error is not None
    return outcome.error


async def _actors(pool: RolloutPool) -> list[int]:
    """The process ids of the workers, once there are two."""
    await asyncio.to_thread(wait_for, lambda: pool.stats().workers == 2, "two workers", LIMIT_S)
    hellos = [worker.actor.hello.remote() for worker in pool._workers]
    return [pid for pid, _ in await asyncio.gather(*hellos)]


def _expected(folder: Path) -> dict[Rollout, Metrics]:
    """What the live simulation showed when the dataset was built."""
    expected = {}
    for row in read_rows(folder):
        for outcome in row["outcomes"]:
            decision = Extend(**outcome["decision"])
            rollout = rollout_in(folder, row["state_id"], row["tls_id"], decision)
            limited = rollout.model_copy(update={"limit_s": LIMIT_S})
            expected[limited] = Metrics(**outcome["metrics"])
    return expected


def _busy_actor(actors: list[int]) -> int | None:
    """An actor with a rollout under way."""
    for actor in actors:
        holders = [pid for fork_server in fork_servers_of(actor) for pid in children(fork_server)]
        if any(map(children, holders)):
            return actor
    return None


async def test_killed_actor_changes_no_value(
    pool: RolloutPool, folders: list[Path], dataset_of: Callable[[str], Path]
) -> None:
    """All its rollouts are scored elsewhere, the loss is counted, and a new worker comes up."""
    known = set(_ids(folders[0])) & set(_ids(dataset_of(WITHOUT_END)))
    states = StateStore.open(folders)
    damaged = {_ids(folders[0])[index] for index in (CHANGED, GONE)}
    expected = {
        rollout: metrics
        for rollout, metrics in _expected(dataset_of(WITHOUT_END)).items()
        if rollout.state_id in known - damaged and states.get(rollout.state_id)
    }
    actors, before = await _actors(pool), pool.stats()
    rollouts = list(expected) * 10
    runs = [asyncio.create_task(pool.run(rollout)) for rollout in rollouts]
    victim = await asyncio.to_thread(wait_for, lambda: _busy_actor(actors), "a rollout")
    assert victim is not None
    family = descendants(victim)
    os.kill(victim, signal.SIGKILL)
    scored = await asyncio.gather(*runs)
    for rollout, outcome in zip(rollouts, scored, strict=True):
        assert outcome.unwrap().model_copy(update={"series": None}) == expected[rollout]
    after = pool.stats()
    assert after.workers_lost == before.workers_lost + 1
    assert after.retried > before.retried
    assert victim not in await _actors(pool)
    assert after.queued == 0
    await asyncio.to_thread(
        wait_for, lambda: not any(map(is_alive, family)), "the processes of the dead actor to end"
    )


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (OTHER_VERSION, "state_of_other_version"),
        (CHANGED, "digest_mismatch"),
        (GONE, "bad_state_file"),
    ],
)
async def test_damaged_state_fails_with_its_code(
    index: int, code: str, pool: RolloutPool, folders: list[Path]
) -> None:
    """The message says what is wrong with the file; nothing of it reaches SUMO."""
    error = await _failure(pool, _rollout(pool, _ids(folders[0])[index]))
    assert error.code == code
    assert not error.retryable


async def test_state_without_its_scenario_fails_at_once(
    pool: RolloutPool, folders: list[Path]
) -> None:
    """Not at the deadline: the folder that cannot be read is named."""
    error = await _failure(pool, _rollout(pool, _ids(folders[1])[0]))
    assert error.code == "not_a_dataset"
    assert "scenario" in error.message


async def test_unknown_signal_harms_no_other_rollout(
    pool: RolloutPool, folders: list[Path]
) -> None:
    """Items of one state travel together; the one that is wrong fails alone."""
    rollout = _rollout(pool, _ids(folders[0])[GOOD])
    unknown = rollout.model_copy(update={"observe": ("north",)})
    good, bad = await asyncio.gather(pool.run(rollout), _failure(pool, unknown))
    assert good.metrics is not None
    assert bad.code == "unknown_signal"


async def test_unknown_state_is_refused_at_once(pool: RolloutPool) -> None:
    """It is not queued."""
    unknown = Rollout(
        state_id="crossing@1-ffffffffffff", signal_decisions=(), observe=("c",), horizon_s=60
    )
    assert (await _failure(pool, unknown)).code == "unknown_state"
    assert pool.stats().queued == 0


async def test_deadline_is_kept(pool: RolloutPool, folders: list[Path]) -> None:
    """A rollout that takes too long ends as such, and the next one is scored."""
    state_id = _ids(folders[0])[GOOD]
    endless = _rollout(pool, state_id, horizon_s=10_000_000, limit_s=0.5)
    assert (await _failure(pool, endless)).code == "deadline_exceeded"
    assert (await pool.run(_rollout(pool, state_id))).ran_s > 0


async def test_cancelled_rollout_ends_in_its_process(
    pool: RolloutPool, folders: list[Path]
) -> None:
    """What nobody waits for stops using a CPU, at once, and harms neither peer nor next."""
    state_id = _ids(folders[0])[GOOD]
    rollout = _rollout(pool, state_id)
    expected, lost = await pool.run(rollout), pool.stats().workers_lost
    actors = await _actors(pool)
    endless = [
        asyncio.create_task(pool.run(_rollout(pool, state_id, 10_000_000 + n, limit_s=600)))
        for n in range(2)
    ]
    await asyncio.to_thread(wait_for, lambda: _busy_actor(actors), "a rollout in its process")
    beside = asyncio.create_task(pool.run(_rollout(pool, state_id)))
    for run in endless:
        run.cancel()
    await asyncio.gather(*endless, return_exceptions=True)
    assert (await beside).metrics == expected.metrics
    assert (await pool.run(_rollout(pool, state_id))).metrics == expected.metrics
    await asyncio.to_thread(wait_for, lambda: not pool.stats().busy, "idle workers")
    assert pool.stats().workers_lost == lost


async def test_cancelled_before_its_turn_is_not_begun(
    pool: RolloutPool, folders: list[Path]
) -> None:
    """It only leaves the queue."""
    state_id = _ids(folders[0])[GOOD]
    runs = [asyncio.create_task(pool.run(_rollout(pool, state_id))) for _ in range(100)]
    await asyncio.sleep(0)
    for run in runs[1:]:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    assert pool.stats().queued == 0
    assert (await runs[0]).ran_s > 0
