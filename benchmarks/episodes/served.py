"""Episodes through a gateway: what HTTP costs a step, and many side by side on one worker and two.

The steps carry no decisions: the greens that are shown go on.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.datasets import build
from benchmarks.episodes.jobs import on_stage
from benchmarks.gateways import GatewayServer
from reward_client import RewardClient
from shared.dataset import DatasetLayout, Manifest
from shared.wire.episodes import PRESETS, EpisodeRequest, StepRequest
from sim_workers.episodes.episode import Episode

__all__ = ["measure_http", "measure_side_by_side", "print_http", "print_side_by_side"]

_WARM_STEPS = 6
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


async def _begin(client: RewardClient, scenario_id: str, seed: int) -> str:
    request = EpisodeRequest(scenario_id=scenario_id, seed=seed, control=PRESETS["resco"])
    return (await client.create_episode(request)).episode_id


def measure_side_by_side(network: str, episodes: int, steps: int) -> dict[str, Any]:
    """Steps a second of so many episodes, all stepped at once, by one worker and by two."""
    rates = {}
    with TemporaryDirectory(prefix="greenfork-bench-") as folder:
        for workers in (1, 2):
            with _gateway(network, workers, Path(folder)) as (gateway, scenario_id):
                rates[workers] = asyncio.run(_rate(gateway.url, scenario_id, episodes, steps))
    found = {"network": network, "episodes": episodes, "steps": steps}
    named = {f"steps_per_s_{workers}": round(rate, 2) for workers, rate in rates.items()}
    return found | named | {"ratio": round(rates[2] / rates[1], 2)}


async def _rate(url: str, scenario_id: str, episodes: int, steps: int) -> float:
    async with RewardClient(url) as client:
        begun = [_begin(client, scenario_id, seed) for seed in range(1, episodes + 1)]
        ids = await asyncio.gather(*begun)
        began_s = 0.0
        for step in range(_WARM_STEPS + steps):
            if step == _WARM_STEPS:
                began_s = time.perf_counter()
            request = StepRequest(step=step)
            await asyncio.gather(*(client.step_episode(one, request) for one in ids))
        return episodes * steps / (time.perf_counter() - began_s)


def measure_http(network: str, steps: int) -> dict[str, Any]:
    """Milliseconds a step over HTTP, and through the engine alone; step by step, in turns."""
    with (
        TemporaryDirectory(prefix="greenfork-bench-") as folder,
        _gateway(network, 1, Path(folder)) as (gateway, scenario_id),
        on_stage(network) as stage,
        stage.start(3600) as episode,
    ):
        times = asyncio.run(_alternate(gateway.url, scenario_id, episode, steps))
    http_ms, engine_ms, overhead_ms = (round(statistics.median(one), 2) for one in times)
    names = ("http_ms", "engine_ms", "overhead_ms")
    medians = zip(names, (http_ms, engine_ms, overhead_ms), strict=True)
    return {"network": network, "steps": steps} | dict(medians)


async def _alternate(
    url: str, scenario_id: str, episode: Episode, steps: int
) -> tuple[list[float], list[float], list[float]]:
    """The same step by both ways, one after the other; and the differences."""
    over_http, alone = [], []
    async with RewardClient(url) as client:
        episode_id = await _begin(client, scenario_id, episode.spec.seed)
        for step in range(steps):
            request = StepRequest(step=step)
            began_s = time.perf_counter()
            answer = await client.step_episode(episode_id, request)
            between_s = time.perf_counter()
            ours = episode.step(request)
            over_http.append(1000 * (between_s - began_s))
            alone.append(1000 * (time.perf_counter() - between_s))
            assert answer.reward == ours.reward, "both are the same episode"  # noqa: S101
    return over_http, alone, [a - b for a, b in zip(over_http, alone, strict=True)]


def print_side_by_side(found: dict[str, Any]) -> None:
    """Prints a table."""
    title = f"{found['network']}: {found['episodes']} episodes side by side, through the gateway"
    table = Table("workers", "steps a second", title=title, title_justify="left")
    for workers in (1, 2):
        table.add_row(str(workers), f"{found[f'steps_per_s_{workers}']:.1f}")
    Console(width=100).print(table)
    Console(width=100).print(f"two workers over one: {found['ratio']:.2f}")


def print_http(found: dict[str, Any]) -> None:
    """Prints a line."""
    Console(width=100).print(
        f"{found['network']}: a step of 10 s takes {found['http_ms']:.1f} ms over HTTP and "
        f"{found['engine_ms']:.1f} ms through the engine alone; median of the differences "
        f"{found['overhead_ms']:.1f} ms"
    )
