"""``python -m benchmarks.rollouts``: milliseconds a rollout, six ways side by side in one run.

The ways take turns, a few rollouts in a row each, so that a slow moment of the machine hits all
alike and none is measured only just after others have emptied the caches.
Beside the time stands how many different values each way gave for one and the same decision.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.datasets import build, rows_of
from benchmarks.records import RESULTS, append
from benchmarks.ways import WAYS, Case, Measured, serve_way

__all__ = ["main"]

_NETWORKS = ("cologne1", "cologne8", "ingolstadt21")
_WARMUP_S = 1200
_WARM_ROUNDS = 1
_IN_A_ROW = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table a network, appends a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(_NETWORKS))
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way")
    parser.add_argument("--horizon", type=int, default=30, help="seconds of simulated time")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    options = parser.parse_args(arguments)
    found = {}
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            case = _make_case(network, Path(folder) / network, options.horizon)
            samples = _measure(network, case, options.rounds)
        found[network] = _summarise(samples)
        _print(network, options.horizon, found[network])
    conditions = {"rounds": options.rounds, "in_a_row": _IN_A_ROW, "horizon_s": options.horizon}
    append(options.results, "rollouts", conditions | {"networks": found})


def _make_case(network: str, folder: Path, horizon_s: int) -> Case:
    """The first decision point 1,200 s after the network's begin that its file restores exactly."""
    build(network, folder, warmup_s=_WARMUP_S, states=8, every_s=60, eval_share=0)
    rows = rows_of(folder)
    return Case.of(folder, next(row for row in rows if row["restore"] == "state"), horizon_s)


def _measure(network: str, case: Case, rounds: int) -> dict[str, list[Measured]]:
    context = multiprocessing.get_context("spawn")
    peers = {}
    processes = []
    for name in WAYS:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve_way, args=(name, case, theirs))
        process.start()
        processes.append(process)
        peers[name] = ours
    for peer in peers.values():
        peer.recv()
    samples: dict[str, list[Measured]] = {name: [] for name in WAYS}
    for _ in track(range(_WARM_ROUNDS + rounds), network, console=Console(stderr=True)):
        for name, peer in peers.items():
            peer.send(_IN_A_ROW)
            samples[name] += peer.recv()
    for peer, process in zip(peers.values(), processes, strict=True):
        peer.send(0)
        process.join()
    return samples


def _summarise(samples: dict[str, list[Measured]]) -> dict[str, dict[str, Any]]:
    """Median times without the warm round; values of all rounds."""
    summary = {}
    for name, measured in samples.items():
        times_ms = [m.wall_ms for m in measured[_WARM_ROUNDS * _IN_A_ROW :]]
        summary[name] = {
            "median_ms": round(statistics.median(times_ms), 2),
            "min_ms": round(min(times_ms), 2),
            "max_ms": round(max(times_ms), 2),
            "queue_sums": sorted({m.queue_sum for m in measured}),
        }
    return summary


def _print(network: str, horizon_s: int, summary: dict[str, dict[str, Any]]) -> None:
    bare_ms = summary["bare stepping"]["median_ms"]
    fresh_ms = summary["fresh TraCI process"]["median_ms"]
    table = Table(title=f"{network}: one rollout of {horizon_s} s", title_justify="left")
    for column in ("way", "median ms", "min", "max", "over bare", "fresh TraCI is", "values"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, row in summary.items():
        values = row["queue_sums"]
        table.add_row(
            name,
            f"{row['median_ms']:.1f}",
            f"{row['min_ms']:.1f}",
            f"{row['max_ms']:.1f}",
            f"{row['median_ms'] - bare_ms:+.1f}",
            f"{fresh_ms / row['median_ms']:.0f}x",
            f"{len(values)}: {', '.join(map(str, values[:6]))}{' …' if len(values) > 6 else ''}",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
