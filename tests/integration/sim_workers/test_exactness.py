"""Rewards equal the uninterrupted simulation, always, on any worker."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.decisions import Extend
from sim_workers.engine.messages import Rollout
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.states.store import StateStore
from tests.integration.conftest import CITIES, OWN, read_rows
from tests.integration.sim_workers.rolling import rollout_in
from tests.integration.sim_workers.uninterrupted import Question, plain_queues

_REPEATS = 50


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


async def _score_all(folder: Path, workers: int, rollouts: list[Rollout]) -> list[str]:
    pool = RolloutPool(StateStore.open([folder]), PoolSettings(workers, None, 30, 8, 2000))
    await pool.start()
    try:
        limited = [each.model_copy(update={"limit_s": 300}) for each in rollouts]
        outcomes = await asyncio.gather(*map(pool.run, limited))
    finally:
        await pool.close()
    return [outcome.unwrap().model_dump_json() for outcome in outcomes]


@pytest.mark.parametrize("scenario", CITIES)
def test_one_item_has_one_value(scenario: str, dataset_of: Callable[[str], Path]) -> None:
    """The same items, 50 times in random order, by one and by two workers, give one value each."""
    folder = dataset_of(scenario)
    row = max(read_rows(folder), key=_gap)
    rollouts = [
        rollout_in(folder, row["state_id"], row["tls_id"], Extend(extend=extend))
        for extend in (True, False)
    ]
    seen: dict[Rollout, set[str]] = {rollout: set() for rollout in rollouts}
    for workers in (1, 2):
        shuffled = rollouts * _REPEATS
        random.Random(workers).shuffle(shuffled)
        scored = asyncio.run(_score_all(folder, workers, shuffled))
        for rollout, value in zip(shuffled, scored, strict=True):
            seen[rollout].add(value)
    yes, no = (seen[rollout] for rollout in rollouts)
    assert len(yes) == len(no) == 1
    assert yes != no


@pytest.mark.parametrize("scenario", CITIES)
def test_the_pool_gives_the_outcomes_of_the_live_simulation(
    scenario: str, dataset_of: Callable[[str], Path]
) -> None:
    """Every state's rewards over the pool are those of the live simulation's own forks."""
    folder = dataset_of(scenario)
    rows = read_rows(folder)
    pairs = [
        (
            rollout_in(folder, row["state_id"], row["tls_id"], Extend(**outcome["decision"])),
            outcome,
        )
        for row in rows
        for outcome in row["outcomes"]
    ]
    values = asyncio.run(_score_all(folder, 2, [rollout for rollout, _ in pairs]))
    for value, (_, outcome) in zip(values, pairs, strict=True):
        metrics = json.loads(value)
        del metrics["series"]
        assert metrics == outcome["metrics"]
