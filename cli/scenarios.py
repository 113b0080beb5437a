"""``greenfork scenarios``: what can be simulated, and what is in it."""

from typing import Annotated

import typer
from rich.table import Table

from cli.output import print_json
from cli.screen import say, screen

__all__ = ["app"]

app = typer.Typer(help="List scenarios and look into them.", no_args_is_help=True)


@app.command("list")
def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the RESCO networks of an installed sumo-rl package."""
    from sim_workers.resco import find_resco, locate_scenario

    found = {f"resco:{name}": str(path) for name, path in find_resco().items()}
    if as_json:
        print_json(found)
        return
    if not found:
        locate_scenario("resco:cologne1")  # says how to install the package
    for name in found:
        say(name)


@app.command(epilog="Example: greenfork scenarios show resco:cologne1")
def show(
    config: Annotated[str, typer.Argument(help="A .sumocfg, or resco:NAME.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show a scenario's signals and phases, and the options that would be left out."""
    from sim_workers.inspection import inspect_scenario
    from sim_workers.resco import locate_scenario

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
    console.print(f"{scenario.scenario_id}: from {scenario.begin_s:g} s", highlight=False)
    if scenario.dropped_options:
        console.print(f"left out: {', '.join(scenario.dropped_options)}")
    for tls_id, signal in signals.items():
        for program in signal.programs.values():
            table = Table(title=f"{tls_id}, program {program.program_id} ({program.kind})")
            for column in ("phase", "seconds", "state", "green"):
                table.add_column(column)
            for index, phase in enumerate(program.phases):
                is_green = "yes" if phase.is_green else ""
                table.add_row(str(index), f"{phase.duration_s:g}", phase.state, is_green)
            console.print(table)
