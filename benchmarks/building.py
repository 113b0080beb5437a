"""``python -m benchmarks.building``: a dataset with outcomes against the bare stepping in it.

Builds a dataset and, in the same run, steps a sample of its rollouts bare: in a fresh simulator
that has loaded the state, which only steps and reads the queue. The ratio is between the wall time
of the whole build (simulating, saving, rolling out, proving) and the stepping of all its rollouts,
on one core. Beside it, the memory that a holder of such a state has for itself.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.datasets import build, options_of, rows_of
from benchmarks.records import append
from benchmarks.ways import Bare, Case
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open

__all__ = ["main"]

_HORIZON_S = 60


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, appends a JSON line."""
    parser = options_of(__doc__, states=500)
    parser.add_argument("--sample", type=int, default=60, help="rollouts that are stepped bare")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / options.network
        build_s = _build(options.network, options.states, dataset)
        found = {"network": options.network, "build_s": round(build_s, 2)}
        found |= _compare(dataset, build_s, options.sample)
    _print(found)
    append(options.results, "building", found)


def _build(network: str, states: int, dataset: Path) -> float:
    """Wall seconds of a build."""
    start_s = time.perf_counter()
    build(network, dataset, states=states, horizon_s=_HORIZON_S, with_outcomes=True)
    return time.perf_counter() - start_s


def _compare(dataset: Path, build_s: float, sample: int) -> dict[str, Any]:
    rows = rows_of(dataset)
    cases = [
        Case.of(dataset, row, _HORIZON_S, outcome["decision"]["extend"])
        for row in rows
        if row["restore"] == "state"
        for outcome in row["outcomes"]
    ]
    drawn = random.Random(1).sample(cases, min(sample, len(cases)))  # noqa: S311
    bare_ms = [
        Bare(case).rollout().wall_ms
        for case in track(drawn, "bare stepping", console=Console(stderr=True))
    ]
    rollouts = sum(len(row["outcomes"]) for row in rows)
    stepping_s = statistics.mean(bare_ms) * rollouts / 1000
    return {
        "states": len({row["state_id"] for row in rows}),
        "replayed": len({row["state_id"] for row in rows if row["restore"] == "replay"}),
        "rollouts": rollouts,
        "bare_ms": round(statistics.mean(bare_ms), 2),
        "bare_total_s": round(stepping_s, 2),
        "ratio": round(build_s / stepping_s, 2),
        "holder_mb": round(_holder_mb(drawn[0]), 1),
    }


def _holder_mb(case: Case) -> float:
    """Private pages of a holder of the case's state, MB."""
    request = Open(
        config=str(case.config),
        seed=case.seed,
        state_file=str(case.state_file),
        reads=(str(case.dataset),),
    )
    with ForkServer() as fork_server, fork_server.open(request) as holder:
        return holder.own_memory_mb()


def _print(found: dict[str, Any]) -> None:
    title = f"{found['network']}: building {found['states']} states with outcomes"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_row("rollouts stored", f"{found['rollouts']} of {_HORIZON_S} s")
    table.add_row("states replayed", str(found["replayed"]))
    table.add_row("the whole build", f"{found['build_s']:.1f} s")
    table.add_row("bare stepping", f"{found['bare_total_s']:.1f} s, {found['bare_ms']:.1f} ms each")
    table.add_row("ratio", f"{found['ratio']:.2f}")
    table.add_row("a holder's own memory", f"{found['holder_mb']:.1f} MB")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
