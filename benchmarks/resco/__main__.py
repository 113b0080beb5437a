"""``python -m benchmarks.resco``: runs what was not run yet, and writes the tables."""

import argparse
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from benchmarks.resco.plan import Job, Selection, jobs_of
from benchmarks.resco.published import NETWORKS
from benchmarks.resco.results import RESULTS, BadResults, Result, Settings, append, read
from benchmarks.resco.running import RunFailed, run_jobs
from benchmarks.resco.tables import MarkersMissing, put_into, tables_of
from shared.errors import GreenforkError
from sim_workers.controllers.making import CONTROLLER_NAMES
from sim_workers.engine.episodes.messages import PhaseRule

__all__ = ["main"]

_PAGE = Path("docs/closed-loop.md")
_QUICK = Selection(networks=("cologne1",), seeds=1)


def main(arguments: list[str]) -> int:
    """Does the runs that are missing.

    Returns:
        0; 1 where a run failed or cannot be begun, 130 where it was interrupted: what was finished
        is kept.
    """
    given = _parser().parse_args(arguments)
    settings = Settings(horizon_s=given.horizon, base=given.base, passes=given.passes)
    try:
        if given.table:
            return _write_tables(given, settings)
        failed = _run(given, settings)
        _write_tables(given, settings)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except (GreenforkError, BadResults, MarkersMissing) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 1 if failed else 0


def _run(given: argparse.Namespace, settings: Settings) -> int:
    """Does what is missing; how many runs failed."""
    done = {one.job for one in _read(given, settings)}
    wanted = list(jobs_of(_selection(given)))
    jobs = [job for job in wanted if job not in done]
    print(f"{len(wanted)} runs, {len(wanted) - len(jobs)} of them done before", flush=True)
    began_s, failed, count = time.monotonic(), 0, 0

    def note(job: Job, found: Result | RunFailed) -> None:
        nonlocal failed, count
        count += 1
        if isinstance(found, RunFailed):
            failed += 1
            said = f"failed: {found}"
        else:
            append(given.results[0], found)
            said = _said(found)
        seconds = round(time.monotonic() - began_s)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        name = f"{job.network} {job.controller} seed {job.seed}"
        print(f"[{clock}] {count}/{len(jobs)} {name}: {said}", flush=True)

    run_jobs(jobs, settings, given.workers, note)
    return failed


def _said(result: Result) -> str:
    delay_s = result.figures.delay_s
    delay = "no vehicle" if delay_s is None else f"delay {delay_s:.1f} s"
    return f"{delay}{', gridlocked' * result.figures.gridlocked} ({result.wall_s:.0f} s)"


def _read(given: argparse.Namespace, settings: Settings) -> list[Result]:
    """The finished runs that have these settings and this simulator."""
    simulator = version("libsumo")
    return [one for one in read(given.results) if one.is_of(settings, simulator)]


def _write_tables(given: argparse.Namespace, settings: Settings) -> int:
    text = tables_of(_read(given, settings))
    put_into(given.page, text)
    print(f"\n{text}\nwritten into {given.page}")
    return 0


def _selection(given: argparse.Namespace) -> Selection:
    chosen = _QUICK if given.quick else Selection()
    return Selection(
        networks=tuple(given.networks or chosen.networks),
        controllers=tuple(given.controllers or chosen.controllers),
        seeds=given.seeds or chosen.seeds,
        large_seeds=given.large_seeds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resco",
        description="Drives an hour of RESCO's networks under each controller and seed, and writes "
        "the tables of docs/closed-loop.md. What was finished before is not done again, so it may "
        "be killed and started again at any time.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="cologne1 and one seed; a few minutes")
    add("--networks", nargs="+", choices=NETWORKS, help="default: all")
    add("--controllers", nargs="+", choices=CONTROLLER_NAMES, help="default: all")
    add("--seeds", type=_positive, help="the seeds from 1 on (10; with --quick 1)")
    add(
        "--large-seeds",
        type=_positive,
        default=Selection().large_seeds,
        help="seeds of look-ahead on ingolstadt21 and the grids (3)",
    )
    add(
        "--workers",
        type=_positive,
        default=len(os.sched_getaffinity(0)),
        help="runs side by side (one a CPU)",
    )
    add("--horizon", type=_positive, default=60, help="of look-ahead, seconds (60)")
    add("--base", choices=get_args(PhaseRule), default="greedy", help="of look-ahead (greedy)")
    add("--passes", type=_positive, default=1, help="of look-ahead (1)")
    add("--table", action="store_true", help="run nothing; write the tables from what there is")
    add(
        "--results",
        type=Path,
        nargs="+",
        default=[RESULTS],
        help=f"files of finished runs; the first one is added to ({RESULTS.name})",
    )
    add("--page", type=Path, default=_PAGE, help=f"where the tables are written ({_PAGE})")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
