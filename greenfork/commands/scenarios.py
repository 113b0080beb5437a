"""``greenfork scenarios``: what can be simulated, and what is in it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from greenfork.commands.sumo_warnings import print_warnings
from greenfork.output import print_json
from greenfork.screen import say, screen

if TYPE_CHECKING:
    from rich.console import Console

    from sim_workers.scenarios.scenario import Scenario
    from sim_workers.verification.fidelity import Comparison

__all__ = ["app"]

app = typer.Typer(help="List, inspect and check scenarios.", no_args_is_help=True)


@app.command("list")
def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the RESCO networks of an installed sumo-rl package."""
    from sim_workers.scenarios.resco import find_resco, locate_scenario

    found = {f"resco:{name}": str(path) for name, path in find_resco().items()}
    if as_json:
        print_json(found)
        return
    if not found:
        locate_scenario("resco:cologne1")  # says how to install the package
    for name in found:
        say(name)


@app.command(epilog="Example: greenfork scenarios check my.sumocfg --seed 7")
def check(
    config: Annotated[str, typer.Argument(help="A .sumocfg, or resco:NAME.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="SUMO's seed. Default: the configuration's.")
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(help="Compare up to this time, seconds. Default: its end, or an hour."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare what would be run here with plain SUMO on your own configuration.

    Compares every vehicle, person and signal, second by second, in all digits; nothing is built.
    If they differ, the first difference is reported and the exit status is 1.
    """
    from sim_workers.datasets.inspection import check_scenario
    from sim_workers.scenarios.resco import locate_scenario

    path = locate_scenario(config)
    with screen(stderr=True).status(f"Running {path.name} twice, side by side"):
        scenario, run_seed, comparison = check_scenario(path, seed, end)
    difference, sensitivity = comparison.difference, comparison.sensitivity
    if as_json:
        body = {
            "scenario_id": scenario.scenario_id,
            "seed": run_seed,
            "fidelity": "own" if difference is None else "bundle",
            "compared_to_s": comparison.compared_to_s,
            "difference": None if difference is None else str(difference),
            "depends_on_addresses_from_s": None if sensitivity is None else sensitivity.time_s,
            "time_to_teleport_s": scenario.time_to_teleport_s,
            "warnings": comparison.warnings,
            "dropped_options": scenario.dropped_options,
            "replaced_outputs": scenario.replaced_outputs,
            "wall_s": comparison.wall_s,
        }
        print_json(body)
    else:
        console = screen()
        _show_check(console, scenario, run_seed, comparison)
        print_warnings(console, [comparison])
    raise typer.Exit(0 if difference is None else 1)


def _show_check(
    console: "Console", scenario: "Scenario", seed: int, comparison: "Comparison"
) -> None:
    if comparison.difference is None:
        said = f"the same as your configuration with seed {seed}, second by second,"
        said += f" up to {comparison.compared_to_s:g} s"
    else:
        said = f"another simulation than your configuration with seed {seed}:"
        said += f" {comparison.difference}"
    console.print(f"{scenario.scenario_id}: {said}")
    if comparison.sensitivity is not None:
        console.print(
            f"From {comparison.sensitivity.time_s:g} s on, SUMO's result depends on the order of "
            "addresses in memory; workers check that theirs is the same."
        )
    teleport_s = scenario.time_to_teleport_s
    teleport = "never" if teleport_s < 0 else f"after {teleport_s:g} s of waiting"
    console.print(f"teleporting: {teleport}")
    console.print(f"took {comparison.wall_s:.1f} s")


@app.command(epilog="Example: greenfork scenarios show resco:cologne1")
def show(
    config: Annotated[str, typer.Argument(help="A .sumocfg, or resco:NAME.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show a scenario's signals and phases, and the options that would be left out."""
    from sim_workers.datasets.inspection import inspect_scenario
    from sim_workers.scenarios.resco import locate_scenario

    scenario, signals = inspect_scenario(locate_scenario(config))
    if as_json:
        body = {
            "scenario_id": scenario.scenario_id,
            "begin_s": scenario.begin_s,
            "end_s": scenario.end_s,
            "dropped_options": scenario.dropped_options,
            "signals": {tls_id: s.model_dump(mode="json") for tls_id, s in signals.items()},
        }
        print_json(body)
        return
    console = screen()
    console.print(f"{scenario.scenario_id}: from {scenario.begin_s:g} s")
    if scenario.dropped_options:
        console.print(f"left out: {', '.join(scenario.dropped_options)}")
    for tls_id, signal in signals.items():
        for program in signal.programs.values():
            title = f"{tls_id}, program {program.program_id} ({program.kind})"
            table = Table("phase", "seconds", "state", "green", title=title)
            for index, phase in enumerate(program.phases):
                is_green = "yes" if phase.is_green else ""
                table.add_row(str(index), f"{phase.duration_s:g}", phase.state, is_green)
            console.print(table)
