"""The same episode by sumo-rl: ``python -m benchmarks.episodes.by_sumo_rl JOB``.

Its environment is given the same network, demand, seed, rules and choices of green phases, with
libsumo and with its default observation and reward.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.episodes.jobs import Job, Loop
from shared.wire.episodes import ShowPhase

__all__: list[str] = []

_YELLOW_S, _MIN_GREEN_S = 3, 7


def main() -> None:
    """Makes the environment without being timed, then steps."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text())
    with contextlib.redirect_stdout(sys.stderr):
        environment = _environment(job)
        environment.reset()
        choices = [_choices(job, step) for step in range(len(job.steps))]
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for chosen in choices:
            environment.step(chosen)
        loop = Loop(wall_s=time.perf_counter() - began_s, cpu_s=time.process_time() - began_cpu_s)
    sys.stdout.write(f"\n{json.dumps(loop.model_dump())}")


def _environment(job: Job) -> Any:  # noqa: ANN401  sumo-rl is untyped
    from sumo_rl import SumoEnvironment  # type: ignore[import-untyped]

    config = Path(job.config)
    root = ElementTree.parse(config).getroot()  # noqa: S314  our own
    named = {element.tag: element.get("value", "") for element in root.iter()}
    return SumoEnvironment(
        net_file=str(config.parent / named["net-file"]),
        route_file=",".join(str(config.parent / one) for one in named["route-files"].split(",")),
        begin_time=int(job.begin_s),
        num_seconds=int(job.end_s - job.begin_s),
        delta_time=job.interval_s,
        yellow_time=_YELLOW_S,
        min_green=_MIN_GREEN_S,
        sumo_seed=job.seed,
        sumo_warnings=False,
        additional_sumo_cmd="--no-step-log",
    )


def _choices(job: Job, step: int) -> dict[str, int]:
    """The green phases that are chosen, as indices among each signal's greens."""
    return {
        tls: job.greens[tls].index(decision.next_phase)
        for tls, decision in job.steps[step].decisions.items()
        if isinstance(decision, ShowPhase)
    }


if __name__ == "__main__":
    main()
