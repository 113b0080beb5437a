"""``python -m benchmarks.rollouts``: milliseconds a rollout, six ways side by side in one run.

The ways take turns, a few rollouts in a row each, so that a slow moment of the machine hits all
alike and none is measured only just after others have emptied the caches.
Beside the time stands how many different values each way gave for one and the same decision.

With ``--before``, the engine and the pool of another checkout take their turns as well. Then both
cores are kept busy by two engines at a time, and rollouts a second are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.datasets import build, rows_of
from benchmarks.records import RESULTS, append
from benchmarks.served_way import ServedWay
from benchmarks.ways import WAYS, Case, Measured

__all__ = ["main"]

_NETWORKS = ("cologne1", "cologne8", "ingolstadt21", "grid4x4")
_OWN = ("greenfork, engine alone", "greenfork, through the pool")
_WARMUP_S = 1200
_WARM_ROUNDS = 2
_IN_A_ROW = 3
_BUSY_ROLLOUTS = 60


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table a network, appends a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(_NETWORKS))
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way")
    parser.add_argument("--horizon", type=int, default=30, help="seconds of simulated time")
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="these alone"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    options = parser.parse_args(arguments)
    found = {}
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            case = _make_case(network, Path(folder) / network, options.horizon)
            found[network] = _measure(network, case, options)
        _print(network, options.horizon, found[network])
    conditions = {"rounds": options.rounds, "in_a_row": _IN_A_ROW, "horizon_s": options.horizon}
    append(options.results, "rollouts", conditions | {"networks": found})


def _make_case(network: str, folder: Path, horizon_s: int) -> Case:
    """The first decision point 1,200 s after the network's begin that its file restores exactly."""
    build(network, folder, warmup_s=_WARMUP_S, states=8, every_s=60, eval_share=0)
    rows = rows_of(folder)
    return Case.of(folder, next(row for row in rows if row["restore"] == "state"), horizon_s)


def _measure(network: str, case: Case, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    with ExitStack() as processes:
        served = {name: processes.enter_context(ServedWay(name, case)) for name in options.ways}
        if options.before is not None:
            tree = options.before.resolve()
            for name in _OWN:
                other = processes.enter_context(ServedWay(name, case, tree))
                served[f"{name}, before"] = other
        samples: dict[str, list[Measured]] = {name: [] for name in served}
        console = Console(stderr=True)
        for _ in track(range(_WARM_ROUNDS + options.rounds), network, console=console):
            for name, way in served.items():
                way.ask(_IN_A_ROW)
                samples[name] += way.answer()
    summary = _summarise(samples)
    if options.before is not None:
        summary |= _busy(case, options.before.resolve(), options.rounds)
    return summary


def _busy(case: Case, tree: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Milliseconds a rollout of two engines that keep both cores busy, now and before."""
    times_ms: dict[str, list[float]] = {"two engines": [], "two engines, before": []}
    with ExitStack() as processes:
        pairs = [
            [processes.enter_context(ServedWay(_OWN[0], case, one)) for _ in range(2)]
            for one in (Path(__file__).parents[1], tree)
        ]
        for number in range(rounds + 1):
            for name, pair in zip(times_ms, pairs, strict=True):
                start_s = time.perf_counter()
                for way in pair:
                    way.ask(_BUSY_ROLLOUTS)
                queues = {one.queue_sum for way in pair for one in way.answer()}
                took_ms = (time.perf_counter() - start_s) * 1000
                if number:
                    times_ms[name].append(took_ms / (2 * _BUSY_ROLLOUTS))
    return {
        name: {
            "median_ms": round(statistics.median(times), 2),
            "min_ms": round(min(times), 2),
            "max_ms": round(max(times), 2),
            "queue_sums": sorted(queues),
        }
        for name, times in times_ms.items()
    }


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
    bare_ms = next(iter(summary.values()))["median_ms"]
    table = Table(title=f"{network}: one rollout of {horizon_s} s", title_justify="left")
    for column in ("way", "median ms", "min", "max", "over the first", "times", "values"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, row in summary.items():
        values = row["queue_sums"]
        table.add_row(
            name,
            f"{row['median_ms']:.1f}",
            f"{row['min_ms']:.1f}",
            f"{row['max_ms']:.1f}",
            f"{row['median_ms'] - bare_ms:+.1f}",
            f"{row['median_ms'] / bare_ms:.2f}",
            f"{len(values)}: {', '.join(map(str, values[:6]))}{' …' if len(values) > 6 else ''}",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
