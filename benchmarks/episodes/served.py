"""Episodes that are served: what HTTP costs a step, and many side by side on one worker and two."""

import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.datasets import build
from benchmarks.episodes.jobs import on_stage, resco_scenario
from benchmarks.episodes.pooled import PooledEpisode, episode_pool, in_turn
from benchmarks.gateways import GatewayServer
from reward_client import RewardClient
from shared.dataset import DatasetLayout, Manifest
from shared.wire.episodes import PRESETS, EpisodeRequest, StepAnswer
from sim_workers.episodes.episode import Episode

__all__ = ["measure_http", "measure_side_by_side", "print_http", "print_side_by_side"]

_WARM_STEPS = 30
_WORKERS = (1, 2)
_TLS = {"ingolstadt21": ("gneJ143",)}
"""The signal of the state that makes a dataset of a large network: proving all takes hours."""


@contextmanager
def _gateway(network: str, workers: int, folder: Path) -> Iterator[tuple[GatewayServer, str]]:
    """A gateway that serves a network, and its scenario's id."""
    dataset, data = folder / network, folder / f"data-{workers}"
    if not dataset.exists():
        build(network, dataset, states=1, warmup_s=60, eval_share=0, tls_ids=_TLS.get(network, ()))
    manifest = Manifest.model_validate_json(DatasetLayout(dataset).manifest.read_text())
    with GatewayServer(dataset, data, workers) as gateway:
        yield gateway, manifest.scenario.scenario_id


class _ServedEpisode:
    """One episode under RESCO's rules, which is stepped over HTTP."""

    def __init__(self, client: RewardClient, scenario_id: str, seed: int) -> None:
        self._client = client
        self._request = EpisodeRequest(scenario_id=scenario_id, seed=seed, control=PRESETS["resco"])
        self._answer: StepAnswer | None = None

    async def begin(self) -> None:
        """Has it created."""
        self._answer = await self._client.create_episode(self._request)

    async def step(self) -> StepAnswer:
        """One interval, with greens in turn."""
        assert self._answer is not None, "it has begun"  # noqa: S101
        episode_id = self._answer.episode_id
        self._answer = await self._client.step_episode(episode_id, in_turn(self._answer))
        return self._answer


def measure_side_by_side(network: str, episodes: int, steps: int) -> dict[str, Any]:
    """Steps a second of so many episodes, all stepped at once, by one worker and by two.

    Once by the pool alone, and once through a gateway.
    """
    rates: dict[str, dict[int, float]] = {"pool": {}, "gateway": {}}
    with TemporaryDirectory(prefix="greenfork-bench-") as folder:
        for workers in _WORKERS:
            rates["pool"][workers] = asyncio.run(_pool_rate(network, workers, episodes, steps))
            with _gateway(network, workers, Path(folder)) as (gateway, scenario_id):
                rate = _gateway_rate(gateway.url, scenario_id, episodes, steps)
                rates["gateway"][workers] = asyncio.run(rate)
    found: dict[str, Any] = {"network": network, "episodes": episodes, "steps": steps}
    for way, by_workers in rates.items():
        for workers, rate_per_s in by_workers.items():
            found[f"{way}_steps_per_s_{workers}"] = round(rate_per_s, 2)
        found[f"{way}_ratio"] = round(by_workers[2] / by_workers[1], 2)
    return found


async def _pool_rate(network: str, workers: int, episodes: int, steps: int) -> float:
    scenario = resco_scenario(network)
    async with episode_pool(workers) as pool:
        ours = [PooledEpisode(pool, scenario, seed) for seed in range(1, episodes + 1)]
        return await _rate(ours, steps)


async def _gateway_rate(url: str, scenario_id: str, episodes: int, steps: int) -> float:
    async with RewardClient(url) as client:
        theirs = [_ServedEpisode(client, scenario_id, seed) for seed in range(1, episodes + 1)]
        return await _rate(theirs, steps)


async def _rate(episodes: Sequence[_ServedEpisode | PooledEpisode], steps: int) -> float:
    """Steps a second, after the first five minutes, in which few vehicles are there yet."""

    async def go_on(episode: _ServedEpisode | PooledEpisode, count: int) -> None:
        for _ in range(count):
            await episode.step()

    await asyncio.gather(*(one.begin() for one in episodes))
    await asyncio.gather(*(go_on(one, _WARM_STEPS) for one in episodes))
    began_s = time.perf_counter()
    await asyncio.gather(*(go_on(one, steps) for one in episodes))
    return len(episodes) * steps / (time.perf_counter() - began_s)


def measure_http(network: str, steps: int) -> dict[str, Any]:
    """Milliseconds a step over HTTP, by the pool alone, and by the engine alone, in turns."""
    with (
        TemporaryDirectory(prefix="greenfork-bench-") as folder,
        _gateway(network, 1, Path(folder)) as (gateway, scenario_id),
        on_stage(network) as stage,
        stage.start(3600) as episode,
    ):
        times = asyncio.run(_alternate(gateway.url, scenario_id, episode, network, steps))
    medians = {f"{way}_ms": round(statistics.median(one), 2) for way, one in times.items()}
    over = {
        f"over_{way}_ms": round(
            statistics.median(a - b for a, b in zip(times["http"], times[way], strict=True)), 2
        )
        for way in ("pool", "engine")
    }
    return {"network": network, "steps": steps} | medians | over


async def _alternate(
    url: str, scenario_id: str, engine: Episode, network: str, steps: int
) -> dict[str, list[float]]:
    """How long each step of the same episode takes in each way, ms."""
    seed = engine.spec.seed

    async def step_engine() -> StepAnswer:
        return engine.step(in_turn(engine.answer))

    async with RewardClient(url) as client, episode_pool(1) as pool:
        served = _ServedEpisode(client, scenario_id, seed)
        pooled = PooledEpisode(pool, resco_scenario(network), seed)
        await served.begin()
        await pooled.begin()
        ways = {"http": served.step, "pool": pooled.step, "engine": step_engine}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(steps):
            rewards = set()
            for way in random.sample(list(ways), len(ways)):  # none always follows the same one
                began_s = time.perf_counter()
                answer = await ways[way]()
                times[way].append(1000 * (time.perf_counter() - began_s))
                rewards.add(answer.reward)
            assert len(rewards) == 1, "it is the same episode"  # noqa: S101
    return times


def print_side_by_side(found: dict[str, Any]) -> None:
    """Prints a table."""
    title = f"{found['network']}: {found['episodes']} episodes side by side"
    table = Table("", "one worker", "two workers", "ratio", title=title, title_justify="left")
    for way, name in (("pool", "the pool alone"), ("gateway", "through the gateway")):
        rates = [f"{found[f'{way}_steps_per_s_{workers}']:.1f}/s" for workers in _WORKERS]
        table.add_row(name, *rates, f"{found[f'{way}_ratio']:.2f}")
    Console(width=100).print(table)


def print_http(found: dict[str, Any]) -> None:
    """Prints a line."""
    Console(width=100).print(
        f"{found['network']}: a step of 10 s takes {found['http_ms']:.1f} ms over HTTP, "
        f"{found['pool_ms']:.1f} ms by the pool alone, and {found['engine_ms']:.1f} ms by the "
        f"engine alone; over HTTP it takes {found['over_pool_ms']:.1f} ms longer than by the pool "
        f"and {found['over_engine_ms']:.1f} ms longer than by the engine, medians of differences"
    )
