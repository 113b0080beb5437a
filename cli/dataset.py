"""``greenfork dataset``: make datasets of decision points."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from shared.dataset import Manifest
    from sim_workers.build_plan import BuildOptions

__all__ = ["app"]

app = typer.Typer(help="Make datasets of decision points.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make datasets of decision points."""


@app.command(
    epilog="Example: greenfork dataset build resco:cologne1 --out datasets/cologne1 "
    "--states 200 --outcomes"
)
def build(
    config: Annotated[
        str, typer.Argument(help="A .sumocfg, or resco:NAME for a network of sumo-rl.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; must not hold anything yet.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="SUMO's seed. Default: the configuration's.")
    ] = None,
    states: Annotated[int | None, typer.Option(min=1, help="States at most. Default: 100.")] = None,
    tls: Annotated[
        list[str] | None, typer.Option(help="A signal to decide; repeatable. Default: all.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="Seconds between states. Default: evenly spread.")
    ] = None,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before the first state.")] = 300,
    begin: Annotated[
        float | None, typer.Option(min=0, help="Begin, seconds. Default: the configuration's.")
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(
            min=0, help="End, seconds. Default: the configuration's, or an hour after begin."
        ),
    ] = None,
    min_green: Annotated[float, typer.Option(min=0, help="Shortest green, seconds.")] = 5,
    max_green: Annotated[float, typer.Option(min=1, help="Longest green, seconds.")] = 60,
    extend_seconds: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds that a yes adds.")
    ] = 5,
    horizon: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds that outcomes are rolled out.")
    ] = 60,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Store every legal decision's metrics in the rows.")
    ] = False,
    eval_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the states held out, the last in time.")
    ] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Run a scenario and save its decision points, each proven to restore exactly.

    A decision point is a moment at which a signal shows a green that has lasted at least its
    minimum and not yet its maximum.
    """
    from shared.errors import ConfigError
    from sim_workers.build_plan import BuildOptions
    from sim_workers.resco import locate_scenario

    if min_green >= max_green:
        raise ConfigError("--min-green must be below --max-green")
    options = BuildOptions(
        seed=seed,
        begin_s=begin,
        end_s=end,
        warmup_s=warmup,
        every_s=every,
        states=states,
        tls_ids=tuple(tls or ()),
        min_green_s=min_green,
        max_green_s=max_green,
        extend_s=extend_seconds,
        horizon_s=horizon,
        with_outcomes=outcomes,
        eval_share=eval_share,
    )
    manifest = _build_with_progress(locate_scenario(config), out, options)
    if as_json:
        typer.echo(json.dumps({"dataset": str(out), "manifest": manifest.model_dump(mode="json")}))
    else:
        _show(manifest, out)


def _build_with_progress(config: Path, out: Path, options: "BuildOptions") -> "Manifest":
    from sim_workers.build_plan import Progress as Built
    from sim_workers.builder import build_dataset

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[kept]} states kept, {task.fields[passed]} passed over"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(f"Simulating {config.stem}", total=None, kept=0, passed=0)

        def advance(built: Built) -> None:
            bar.update(
                task,
                completed=built.slots_done,
                total=built.slots,
                kept=built.states,
                passed=built.passed_over,
            )

        return build_dataset(config, out, options, advance)


def _show(manifest: "Manifest", out: Path) -> None:
    table = Table(title=f"Dataset {out}", show_header=False, title_justify="left")
    report = manifest.build
    table.add_row("scenario", manifest.scenario.scenario_id)
    table.add_row("states kept", str(report.states))
    table.add_row("states passed over", f"{report.passed_over} (would not restore exactly)")
    table.add_row("rows", str(report.rows))
    table.add_row("signals", ", ".join(manifest.signals))
    table.add_row("reproduce with", f"sumo {' '.join(manifest.simulation.command)}")
    if manifest.scenario.dropped_options:
        table.add_row("options left out", ", ".join(manifest.scenario.dropped_options))
    console = Console()
    console.print(table)
    console.print(f"Next: greenfork serve --dataset {out}")
