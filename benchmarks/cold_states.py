"""``python -m benchmarks.cold_states``: what a state costs that a worker has never seen.

Two workers take turns, state by state in random order: one opens each state from its file, the
other one as it does in the service, from a file or by a replay from a checkpoint of the run. Each
state is read from disk, opened and rolled out under every legal answer, and never asked for again.
Both must give the same metrics. A network's first states grow its checkpoints, so the second half
is told apart.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.datasets import build
from benchmarks.records import RESULTS, append
from shared.decisions import Extend
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.pool.rollout import StateFiles, files_of, make_rollout, replay_of
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.store import StateStore, StoredState

__all__ = ["main"]

_NETWORKS = {
    "cologne1": "GS_cluster_357187_359543",
    "cologne8": "247379907",
    "ingolstadt21": "gneJ143",
}
"""And the signal that is decided: proving all of them takes hours on the largest."""
_LIMITS = WorkerLimits(rollout_timeout_s=60, max_holders=16, max_holder_memory_mb=4096)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, appends a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(_NETWORKS))
    parser.add_argument("--states", type=int, default=120, help="states of each network")
    parser.add_argument("--horizon", type=int, default=60, help="seconds of simulated time")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    parser.add_argument("--datasets", type=Path, help="built before, one a network, by its name")
    options = parser.parse_args(arguments)
    found = {}
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            dataset = Path(options.datasets or folder) / network
            if not dataset.exists():
                _build(network, dataset, options.states, options.horizon)
            found[network] = _measure(network, dataset, options.horizon)
    _print(found)
    conditions = {"states": options.states, "horizon_s": options.horizon}
    append(options.results, "cold_states", conditions | {"networks": found})


def _build(network: str, dataset: Path, states: int, horizon_s: int) -> None:
    tls_ids = (_NETWORKS[network],) if network in _NETWORKS else ()
    build(network, dataset, states=states, horizon_s=horizon_s, tls_ids=tls_ids)


class _Worker:
    """A worker, and what it has been sent; as the pool does."""

    def __init__(self, has_choice: bool) -> None:
        self._engine = StateWorker(_LIMITS)
        self._has_choice = has_choice
        self._is_known = False
        self.close = self._engine.close

    def cold_ms(self, state: StoredState, rollouts: Sequence[Rollout]) -> tuple[float, list[Any]]:
        """Wall ms of a state's rollouts, and their metrics."""
        begin_s = time.perf_counter()
        outcomes = self._run(state, rollouts)
        wall_ms = (time.perf_counter() - begin_s) * 1000
        return wall_ms, [outcome.unwrap() for outcome in outcomes]

    def _run(self, state: StoredState, rollouts: Sequence[Rollout]) -> list[RolloutOutcome]:
        if self._has_choice and self._is_known:
            replay = replay_of(state, rollouts[0])
            if replay is not None and (outcomes := self._engine.run(rollouts, replay)):
                return outcomes
        outcomes = self._engine.run(rollouts, self._files(state, rollouts[0]))
        assert outcomes is not None, "the engine was given the files"  # noqa: S101
        self._is_known = True
        return outcomes

    def _files(self, state: StoredState, rollout: Rollout) -> StateFiles:
        is_new = not self._is_known
        choice = self._has_choice
        return files_of(
            state, rollout, with_scenario=is_new, with_choice=choice, with_actions=is_new
        )


def _measure(network: str, dataset: Path, horizon_s: int) -> dict[str, Any]:
    states = list(StateStore.open([dataset]))
    random.Random(1).shuffle(states)  # noqa: S311
    walls: dict[str, list[float]] = {"file": [], "choice": []}
    with closing(_Worker(has_choice=False)) as old, closing(_Worker(has_choice=True)) as new:
        for number, state in enumerate(track(states, network, console=Console(stderr=True))):
            rollouts = _rollouts(state, horizon_s)
            ways = [("file", old), ("choice", new)]
            shown = {}
            for name, worker in ways if number % 2 else reversed(ways):
                wall_ms, shown[name] = worker.cold_ms(state, rollouts)
                walls[name].append(wall_ms)
            assert shown["file"] == shown["choice"], state.record.state_id  # noqa: S101
    half = len(states) // 2
    file_ms, choice_ms = (statistics.median(walls[way][half:]) for way in ("file", "choice"))
    return {
        "states": len(states),
        "file_ms": round(file_ms, 1),
        "choice_ms": round(choice_ms, 1),
        "ratio": round(choice_ms / file_ms, 2),
        "ratio_of_all": round(sum(walls["choice"]) / sum(walls["file"]), 2),
    }


def _rollouts(state: StoredState, horizon_s: int) -> list[Rollout]:
    """Both answers at the first signal that was proven, or that there is."""
    tls_id = min(state.record.proven or state.record.signals)
    return [
        make_rollout(state, {tls_id: Extend(extend=extend)}, horizon_s).model_copy(
            update={"limit_s": 600}
        )
        for extend in (True, False)
    ]


def _print(found: dict[str, Any]) -> None:
    title = "A state never seen before, opened and rolled out twice"
    table = Table("network", "states", title=title, title_justify="left")
    for column in ("from its file", "as it is cheaper", "ratio", "ratio, first states included"):
        table.add_column(column, justify="right")
    for network, each in found.items():
        times = [f"{each[name]:.0f} ms" for name in ("file_ms", "choice_ms")]
        ratios = [f"{each[name]:.2f}" for name in ("ratio", "ratio_of_all")]
        table.add_row(network, str(each["states"]), *times, *ratios)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
