"""``greenfork control``: whole episodes under controllers, side by side, and how they compare."""

import csv
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from greenfork.progress import progress_bar
from greenfork.screen import figure, say, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.controllers.runs import ControlPlan

__all__ = ["EXAMPLES", "control"]

EXAMPLES = """Examples:

greenfork control resco:cologne1 --controller fixed --controller greedy --seeds 10

greenfork control my.sumocfg --controller look-ahead --protocol program --trips runs/

greenfork control my.sumocfg --controller replay:runs/greedy-seed1.record.jsonl --seeds 1
"""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_LISTED = 20

_Controllers = Annotated[
    list[str],
    typer.Option(
        "--controller",
        help="fixed, actuated, delay-based, random, longest-queue, greedy, max-pressure, sotl, "
        "look-ahead, or replay:FILE with a record that --trips wrote. Repeatable.",
    ),
]
_Protocol = Annotated[
    Literal["resco", "program", "sumo-rl"],
    typer.Option(
        help="resco: any green every 10 s, 3 s of yellow; sumo-rl: every 5 s, 2 s of yellow; "
        "program: extend or end greens in the program's order, every 5 s.",
        case_sensitive=False,
    ),
]
_Base = Annotated[
    Literal["greedy", "longest_queue", "max_pressure", "keep"],
    typer.Option(help="Who decides after the first step of look-ahead's rollouts."),
]
_Trips = Annotated[
    Path | None,
    typer.Option(help="Folder for each episode's trips (CSV), actions and record (JSON lines)."),
]
_End = Annotated[
    float | None,
    typer.Option(
        "--end", help="End of each episode, seconds of simulated time. Default: after an hour."
    ),
]
_Lanes = Annotated[
    int | None, typer.Option("--workers", min=1, help="Episodes side by side. Default: one a CPU.")
]


def control(
    scenario: Annotated[str, typer.Argument(help="Path of a .sumocfg, or resco:<network>.")],
    controller: _Controllers,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs the seeds from 1 on.")] = 5,
    protocol: _Protocol = "resco",
    horizon: Annotated[
        int, typer.Option(min=1, max=3600, help="Length of look-ahead's rollouts, seconds.")
    ] = 60,
    base: _Base = "greedy",
    passes: Annotated[
        int, typer.Option(min=1, max=10, help="Look-ahead's rounds over the signals.")
    ] = 1,
    workers: _Lanes = None,
    end: _End = None,
    trips: _Trips = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run whole episodes under controllers and compare them.

    Every controller drives the same scenario under the same seeds. An episode that fails is listed,
    and the exit status is then 1.
    """
    from sim_workers.controllers.look_ahead import LookAheadSettings
    from sim_workers.controllers.making import find_controller
    from sim_workers.controllers.protocols import protocol_of
    from sim_workers.controllers.runs import ControlPlan, run_episodes, simulated_s
    from sim_workers.scenarios.resco import locate_scenario
    from sim_workers.scenarios.scenario import load_scenario

    lanes = workers or len(os.sched_getaffinity(0))
    settings = LookAheadSettings(horizon, base, passes)
    specs = tuple(find_controller(name, settings) for name in dict.fromkeys(controller))
    loaded = load_scenario(locate_scenario(scenario))
    plan = ControlPlan(
        loaded, protocol_of(protocol, loaded.name), specs, tuple(range(1, seeds + 1)), lanes, end
    )
    title = f"{loaded.name}: {len(specs) * seeds} episodes"
    with progress_bar(title, total=round(simulated_s(plan)), is_hidden=as_json) as update:
        runs = run_episodes(plan, lambda seconds: update(advance=seconds))
    if trips is not None:
        for run in runs:
            _write_trips(trips, run)
    (_print_json if as_json else _print_table)(plan, protocol, runs)
    raise typer.Exit(1 if any(run.error for run in runs) else 0)


def _print_json(plan: "ControlPlan", protocol: str, runs: "Sequence[ControlRun]") -> None:
    from greenfork.output import print_json
    from sim_workers.controllers.control_run import by_controller

    print_json(
        {
            "scenario": plan.scenario.name,
            "scenario_id": plan.scenario.scenario_id,
            "protocol": protocol,
            "control": plan.protocol.control.model_dump(mode="json"),
            "arguments": list(plan.protocol.arguments),
            "controllers": [
                {"name": name, **_summary(of_one), "episodes": [_episode(run) for run in of_one]}
                for name, of_one in by_controller(runs).items()
            ],
        }
    )


def _episode(run: "ControlRun") -> dict[str, Any]:
    return {
        "seed": run.seed,
        "figures": run.finished.figures.model_dump(mode="json") if run.finished else None,
        "error": run.error.model_dump() if run.error else None,
        "decisions": run.decisions,
        "invalid": run.invalid,
        "deciding_s": run.deciding_s,
        "wall_s": run.wall_s,
    }


def _summary(runs: "Sequence[ControlRun]") -> dict[str, Any]:
    """A controller's episodes in figures; delays and trip times in seconds."""
    from sim_workers.controllers.statistics import spread_of

    figures = [run.finished.figures for run in runs if run.finished]
    delay = spread_of([one.delay_s for one in figures if one.delay_s is not None])
    trip = spread_of([one.travel_time_s for one in figures if one.travel_time_s is not None])
    queue = spread_of([one.queue_veh for one in figures if one.queue_veh is not None])
    decisions = sum(run.decisions for run in runs)
    return {
        "delay_median_s": delay and delay.median,
        "delay_mean_s": delay and delay.mean,
        "delay_half_width_s": delay and delay.half_width,
        "travel_time_median_s": trip and trip.median,
        "queue_median_veh": queue and queue.median,
        "gridlocked": sum(one.gridlocked for one in figures),
        "invalid_share": sum(run.invalid for run in runs) / decisions if decisions else None,
        "decision_s": sum(run.deciding_s for run in runs) / decisions if decisions else None,
        "failed": sum(run.error is not None for run in runs),
    }


def _print_table(plan: "ControlPlan", protocol: str, runs: "Sequence[ControlRun]") -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from sim_workers.controllers.control_run import by_controller

    seeds = len(plan.seeds)
    table = Table(
        title=f"{plan.scenario.name}, protocol {protocol}, {seeds} seed{'s' * (seeds > 1)}",
        caption="Seconds and vehicles. delay: time loss and departure delay of all vehicles, "
        "unfinished ones included; median over the seeds. stuck: gridlocked seeds.",
        box=SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("controller", no_wrap=True)
    for name in (
        *("delay", "mean", "95 %", "trip", "queue"),
        *("stuck", "invalid", "s/decision"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, of_one in by_controller(runs).items():
        found = _summary(of_one)
        table.add_row(
            name,
            figure(found["delay_median_s"], ".1f"),
            figure(found["delay_mean_s"], ".1f"),
            _interval(found["delay_half_width_s"]),
            figure(found["travel_time_median_s"], ".1f"),
            figure(found["queue_median_veh"], ".2f"),
            f"{found['gridlocked']}/{seeds - found['failed']}",
            figure(found["invalid_share"], ".1%"),
            figure(found["decision_s"], ".2g"),
        )
    screen().print(table)
    failed = [run for run in runs if run.error]
    for run in failed[:_MAX_LISTED]:
        assert run.error is not None  # noqa: S101
        said = f"{run.error.message} [{run.error.code}]"
        say(f"{run.controller}, seed {run.seed}: {said}", err=True)
    if len(failed) > _MAX_LISTED:
        say(f"and {len(failed) - _MAX_LISTED} more failures", err=True)


def _interval(half_width_s: float | None) -> str:
    """The half of an interval on either side of its mean.

    >>> _interval(2.25), _interval(None)
    ('± 2.2', '-')
    """
    return "-" if half_width_s is None else f"± {half_width_s:.1f}"


def _write_trips(folder: Path, run: "ControlRun") -> None:
    """A trip a row, what was told to the signals, and the record by which it can be repeated."""
    from dataclasses import asdict, fields

    from sim_workers.episodes.figures import Trip, trips_of

    if run.finished is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{_UNSAFE.sub('-', run.controller)}-seed{run.seed}"
    with (folder / f"{stem}.trips.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Trip)])
        rows.writeheader()
        rows.writerows(map(asdict, trips_of(run.finished.outputs.tripinfo)))
    actions = (action.model_dump_json() for action in run.finished.actions)
    (folder / f"{stem}.actions.jsonl").write_text("".join(f"{one}\n" for one in actions))
    (folder / f"{stem}.record.jsonl").write_text(run.finished.record.to_lines())
