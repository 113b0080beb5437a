"""Rewards equal the uninterrupted simulation, always, on any worker."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.decisions import Extend
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.pool.rollout import files_of
from sim_workers.states.store import StateStore
from tests.integration.conftest import CITIES, OWN, read_rows
from tests.integration.sim_workers.rolling import make_worker, rollout_in
from tests.integration.sim_workers.uninterrupted import Question, plain_queues

_REPEATS = 25


def _remaining_s(row: dict[str, Any], decision: dict[str, Any]) -> float:
    """The contract's formula, written out again on purpose."""
    if decision["extend"]:
        return float(min(decision["extend_s"], row["max_green_s"] - row["elapsed_green_s"]))
    return float(max(0, row["min_green_s"] - row["elapsed_green_s"]))


@pytest.mark.parametrize("scenario", [*CITIES, *OWN])
def test_outcomes_equal_the_uninterrupted_simulation(
    scenario: str, dataset_of: Callable[[str], Path]
) -> None:
    """Stored outcomes are what plain SUMO shows when it runs the episode from its begin."""
    folder = dataset_of(scenario)
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = random.Random(5).sample(read_rows(folder), 3)
    decided = [(row, outcome) for row in rows for outcome in row["outcomes"]]
    questions = [
        Question(row["time_s"], row["tls_id"], _remaining_s(row, outcome["decision"]))
        for row, outcome in decided
    ]
    queues = plain_queues(folder, manifest, questions)
    for (_, outcome), queue in zip(decided, queues, strict=True):
        assert outcome["metrics"]["queue_veh"] == sum(queue) / 60
        assert outcome["metrics"]["queue_veh_max"] == max(queue)


def _gap(row: dict[str, Any]) -> float:
    yes, no = (outcome["metrics"]["queue_veh"] for outcome in row["outcomes"])
    return float(abs(yes - no))


async def _of_two_workers(folders: list[Path], rollouts: list[Rollout]) -> list[Metrics]:
    pool = RolloutPool(StateStore.open(folders), PoolSettings(2, None, 30, 8, 2000))
    await pool.start()
    try:
        limited = [each.model_copy(update={"limit_s": 300}) for each in rollouts]
        outcomes = await asyncio.gather(*map(pool.run, limited))
    finally:
        await pool.close()
    return [outcome.unwrap() for outcome in outcomes]


def _of_one_worker(store: StateStore, rollouts: list[Rollout]) -> Iterator[Metrics]:
    with closing(make_worker()) as worker:
        for rollout in rollouts:
            limited = rollout.model_copy(update={"limit_s": 300})
            outcomes = worker.run([limited], files_of(store.get(rollout.state_id), limited))
            assert outcomes is not None
            yield outcomes[0].unwrap()


def _rollout(folder: Path, row: dict[str, Any], outcome: dict[str, Any]) -> Rollout:
    decision = Extend(**outcome["decision"])
    return rollout_in(folder, row["state_id"], row["tls_id"], decision)


@pytest.fixture(scope="module")
def values(dataset_of: Callable[[str], Path]) -> dict[Rollout, set[str]]:
    """What one worker alone, and the two of a pool, found for every decision in the cities.

    Both have the decisions of one row of each city 25 times, all in random order.
    """
    folders = {city: dataset_of(city) for city in CITIES}
    rollouts = []
    for folder in folders.values():
        rows = read_rows(folder)
        clearest = max(rows, key=_gap)
        for row in rows:
            rolled_out = [_rollout(folder, row, outcome) for outcome in row["outcomes"]]
            rollouts += rolled_out * (_REPEATS if row is clearest else 1)
    seen: dict[Rollout, set[str]] = {rollout: set() for rollout in rollouts}
    random.Random(1).shuffle(rollouts)
    store = StateStore.open(list(folders.values()))
    for rollout, metrics in zip(rollouts, _of_one_worker(store, rollouts), strict=True):
        seen[rollout].add(metrics.model_dump_json())
    random.Random(2).shuffle(rollouts)
    found = asyncio.run(_of_two_workers(list(folders.values()), rollouts))
    for rollout, metrics in zip(rollouts, found, strict=True):
        seen[rollout].add(metrics.model_dump_json())
    return seen


@pytest.mark.parametrize("scenario", CITIES)
def test_one_item_has_one_value(
    scenario: str, dataset_of: Callable[[str], Path], values: dict[Rollout, set[str]]
) -> None:
    """The same items, 25 times in random order, by one and by two workers, give one value each."""
    folder = dataset_of(scenario)
    row = max(read_rows(folder), key=_gap)
    yes, no = (values[_rollout(folder, row, outcome)] for outcome in row["outcomes"])
    assert len(yes) == len(no) == 1
    assert yes != no


@pytest.mark.parametrize("scenario", CITIES)
def test_the_pool_gives_the_outcomes_of_the_live_simulation(
    scenario: str, dataset_of: Callable[[str], Path], values: dict[Rollout, set[str]]
) -> None:
    """Every state's rewards over the pool are those of the live simulation's own forks."""
    folder = dataset_of(scenario)
    for row in read_rows(folder):
        for outcome in row["outcomes"]:
            (value,) = values[_rollout(folder, row, outcome)]
            metrics = json.loads(value)
            del metrics["series"]
            assert metrics == outcome["metrics"]
