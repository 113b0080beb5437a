"""An hour of control: through the engine, in plain libsumo, and by sumo-rl, in turns."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.episodes.jobs import Job, Loop, Stage, job_of, on_stage, run_module
from benchmarks.episodes.sumo_rl_packages import sumo_rl_packages
from benchmarks.ways import sumo_binary
from sim_workers.controllers.rules import by_rule

__all__ = ["measure_stepping", "print_stepping"]

PLAIN, ENGINE, SUMO_RL = "plain libsumo", "greenfork, engine alone", "sumo-rl 1.4.5, libsumo"


def measure_stepping(network: str, length_s: int, rounds: int) -> dict[str, Any]:
    """Medians of each way on one network, and the engine's ratio to plain libsumo.

    Args:
        network: One of RESCO's.
        length_s: Simulated seconds.
        rounds: Turns of each way.
    """
    packages = sumo_rl_packages()
    samples: dict[str, list[Loop]] = {PLAIN: [], ENGINE: [], SUMO_RL: []}
    with on_stage(network) as stage:
        job = job_of(stage, length_s, lambda episode: by_rule("greedy", episode))
        for _ in track(range(rounds), network, console=Console(stderr=True)):
            samples[PLAIN].append(run_module("plain", job, stage.folder))
            samples[ENGINE].append(_engine(stage, length_s, job))
            if packages is not None:
                samples[SUMO_RL].append(_sumo_rl(stage, job, packages))
    for plain, ours in zip(samples[PLAIN], samples[ENGINE], strict=True):
        assert (plain.queue_sum_veh, plain.switches) == (ours.queue_sum_veh, ours.switches)  # noqa: S101
    return {
        "network": network,
        "length_s": length_s,
        "signals": len(job.signals),
        "ways": {way: _summary(loops) for way, loops in samples.items() if loops},
        "ratio_wall": _ratio(samples, "wall_s"),
        "ratio_cpu": _ratio(samples, "cpu_s"),
    }


def _engine(stage: Stage, length_s: int, job: Job) -> Loop:
    """The steps of an episode; its start and its end are not timed, as the others' are not."""
    with stage.start(length_s) as episode:
        began_s, began_cpu_s = time.perf_counter(), _cpu_s(episode.pid)
        for request in job.steps:
            episode.step(request)
        return Loop(
            wall_s=time.perf_counter() - began_s,
            cpu_s=_cpu_s(episode.pid) - began_cpu_s,
            queue_sum_veh=episode.seen.queue_sum_veh,
            switches=episode.seen.switches,
        )


def _cpu_s(pid: int) -> float:
    """Processor seconds of this process and another one."""
    nanoseconds = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return time.process_time() + nanoseconds / 1e9


def _sumo_rl(stage: Stage, job: Job, packages: Path) -> Loop:
    paths = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(packages))))
    home = str(Path(sumo_binary()).parents[1])
    environment = os.environ | {"LIBSUMO_AS_TRACI": "1", "SUMO_HOME": home, "PYTHONPATH": paths}
    return run_module("by_sumo_rl", job, stage.folder, environment)


def _ratio(samples: dict[str, list[Loop]], name: str) -> float:
    """The median of the ratios of the rounds."""
    pairs = zip(samples[ENGINE], samples[PLAIN], strict=True)
    ratios: list[float] = [getattr(ours, name) / getattr(plain, name) for ours, plain in pairs]
    return round(statistics.median(ratios), 3)


def _summary(loops: list[Loop]) -> dict[str, float]:
    walls_s = [loop.wall_s for loop in loops]
    return {
        "median_s": round(statistics.median(walls_s), 3),
        "min_s": round(min(walls_s), 3),
        "max_s": round(max(walls_s), 3),
        "cpu_s": round(statistics.median(loop.cpu_s for loop in loops), 3),
    }


def print_stepping(found: dict[str, Any]) -> None:
    """Prints a table."""
    title = f"{found['network']}: {found['length_s']} s of control, {found['signals']} signals"
    table = Table(title=title, title_justify="left")
    for column in ("way", "median s", "min", "max", "processor s"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way, row in found["ways"].items():
        table.add_row(way, *(f"{row[name]:.2f}" for name in row))
    Console(width=100).print(table)
    Console(width=100).print(
        f"engine over plain libsumo, median of the rounds: {found['ratio_wall']:.2f} in time, "
        f"{found['ratio_cpu']:.2f} in processor time"
    )
