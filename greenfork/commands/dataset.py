"""``greenfork dataset``: make datasets of decision points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import TimeElapsedColumn

from greenfork.commands import (
    dataset_difficulty,
    dataset_examples,
    dataset_import,
    dataset_planning,
    dataset_plans,
    dataset_top_plans,
    dataset_verify,
)
from greenfork.commands.options import fields_of
from greenfork.commands.sumo_warnings import print_warnings
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import print_rows, say, screen
from shared.errors import ConfigError, InputError

if TYPE_CHECKING:
    from shared.dataset import Manifest
    from sim_workers.datasets.build_plan import Progress as Built
    from sim_workers.engine.policies import PolicySpec
    from sim_workers.verification.fidelity import Comparison

__all__ = ["app"]

app = typer.Typer(
    help="Build, verify and inspect datasets of decision points.", no_args_is_help=True
)


app.command(epilog=dataset_verify.EXAMPLE)(dataset_verify.verify)
app.command(epilog=dataset_difficulty.EXAMPLE)(dataset_difficulty.difficulty)
app.command(epilog=dataset_plans.EXAMPLES)(dataset_plans.plans)
app.command(epilog=dataset_examples.EXAMPLES)(dataset_examples.examples)
app.command("import", epilog=dataset_import.EXAMPLE)(dataset_import.dataset_import)
app.command(epilog=dataset_planning.EXAMPLES)(dataset_planning.planning)
app.command("top-plans", epilog=dataset_top_plans.EXAMPLES)(dataset_top_plans.top_plans)


_EXAMPLES = """Examples:

greenfork dataset build resco:cologne1 --out datasets/cologne1 --states 200 --outcomes

greenfork dataset build my.sumocfg --out datasets/mine --seed 1 --seed 2 --scale 1 --scale 1.3

greenfork dataset build my.sumocfg --out datasets/mine --policy max_pressure --epsilon 0.2
"""


_Config = Annotated[
    str, typer.Argument(help="A .sumocfg, or resco:NAME for a network from sumo-rl.")
]
_Seed = Annotated[
    list[int] | None,
    typer.Option(
        "--seed", min=0, help="SUMO's seed; repeatable, one run each. Default: the configuration's."
    ),
]
_Scale = Annotated[
    list[float] | None,
    typer.Option(
        "--scale", help="SUMO's --scale, for all demand; repeatable, one run each. Default: 1."
    ),
]
_States = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum number of states over all runs. Default: 100."),
]
_Tls = Annotated[
    list[str] | None,
    typer.Option("--tls", help="Signal to decide; repeatable. Default: all with a choice."),
]
_Kind = Annotated[
    Literal["extend", "phase", "cycle", "plan"],
    typer.Option(help="Kind of decision that the rows ask for.", case_sensitive=False),
]
_PolicyName = Literal["program", "random", "max_pressure"]
_Policy = Annotated[
    _PolicyName,
    typer.Option(
        help="Policy that controls the signals while states are collected.",
        case_sensitive=False,
    ),
]
_Epsilon = Annotated[
    float, typer.Option(min=0, max=1, help="Random-action probability of that policy.")
]
_Actions = Annotated[
    Path | None,
    typer.Option(
        help="JSON lines of time_s, tls_id and extend (true or false): decisions to carry out "
        "instead of a policy's."
    ),
]
_Every = Annotated[
    float | None,
    typer.Option("--every", min=1, help="Seconds between states. Default: evenly spread."),
]
_Warmup = Annotated[
    float, typer.Option("--warmup", min=0, help="Simulated seconds before the first state.")
]
_Begin = Annotated[
    float | None,
    typer.Option(
        "--begin", min=0, help="Begin of the runs, seconds. Default: the configuration's."
    ),
]
_End = Annotated[
    float | None,
    typer.Option(
        "--end",
        min=0,
        help="End of the runs, seconds. Default: the configuration's, or an hour after begin.",
    ),
]
_ExtendSeconds = Annotated[
    int, typer.Option("--extend-seconds", min=1, max=3600, help="Seconds added by a yes.")
]
_MinGreen = Annotated[float, typer.Option("--min-green", min=0, help="Minimum green, seconds.")]
_MaxGreen = Annotated[float, typer.Option("--max-green", min=1, help="Maximum green, seconds.")]
_Horizon = Annotated[
    int,
    typer.Option(
        "--horizon", min=1, max=3600, help="Length of the rollouts behind outcomes, seconds."
    ),
]
_OnlyReplays = Annotated[
    bool,
    typer.Option(
        "--only-replays",
        help="Skip proving state files: every state is restored by replaying its run, and the "
        "build takes less than half the time.",
    ),
]
_Outcomes = Annotated[
    bool, typer.Option("--outcomes", help="Store every legal decision's metrics in the rows.")
]
_EvalShare = Annotated[
    float,
    typer.Option(min=0, max=0.9, help="Share of each run's states to hold out, the last in time."),
]
_Workers = Annotated[
    int | None, typer.Option(min=1, help="Runs to simulate in parallel. Default: one per CPU.")
]
_AllowDeviation = Annotated[
    bool,
    typer.Option(
        "--allow-deviation",
        help="Continue even if what is built differs from the configuration's own simulation. "
        'Every result then says "fidelity": "bundle".',
    ),
]
_Restart = Annotated[
    bool, typer.Option("--restart", help="Discard the progress of an interrupted build.")
]


_Format = Annotated[
    Literal["jsonl", "parquet"],
    typer.Option("--format", help="parquet writes the rows as Parquet, too.", case_sensitive=False),
]


@app.command(epilog=_EXAMPLES)
def build(
    context: typer.Context,
    config: _Config,
    out: Annotated[Path, typer.Option(help="Folder to create; must be empty or missing.")],
    seeds: _Seed = None,
    scales: _Scale = None,
    states: _States = None,
    tls_ids: _Tls = None,
    kind: _Kind = "extend",
    policy: _Policy = "program",
    epsilon: _Epsilon = 0,
    actions: _Actions = None,
    every_s: _Every = None,
    warmup_s: _Warmup = 300,
    begin_s: _Begin = None,
    end_s: _End = None,
    min_green_s: _MinGreen = 5,
    max_green_s: _MaxGreen = 60,
    extend_s: _ExtendSeconds = 5,
    horizon_s: _Horizon = 60,
    only_replays: _OnlyReplays = False,
    with_outcomes: _Outcomes = False,
    eval_share: _EvalShare = 0.1,
    workers: _Workers = None,
    allow_deviation: _AllowDeviation = False,
    restart: _Restart = False,
    rows_format: _Format = "jsonl",
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Run a scenario and save its decision points, each proven to restore exactly.

    A decision point is a moment at which a signal shows a green that has lasted at least its
    minimum and not yet its maximum.

    During the build, plain SUMO runs the untouched configuration, and the two are compared second
    by second. If they differ, the build is refused and the first difference is reported.

    To resume an interrupted build, run the same command again.
    """
    from sim_workers.scenarios.resco import locate_scenario

    _check(min_green_s, max_green_s, scales or ())
    if rows_format == "parquet":
        _check_parquet()
    signals = _signals(policy, epsilon, extend_s, actions)
    found = _build_with_progress(locate_scenario(config), out, context.params, signals)
    if rows_format == "parquet":
        _write_parquet(out)
    _tell(*found, out, as_json)


def _check_parquet() -> None:
    """Says before the simulation that what writes the rows is missing."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise ConfigError("--format parquet needs pyarrow: pip install greenfork[server]")


def _write_parquet(out: Path) -> None:
    """The rows of both splits as Parquet, beside the JSON lines; an empty split has no file."""
    import json

    import pyarrow
    import pyarrow.parquet

    for split in ("train", "eval"):
        file = out / f"{split}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        if rows := [json.loads(line) for line in lines]:
            table = pyarrow.Table.from_pylist(rows)
            pyarrow.parquet.write_table(table, file.with_suffix(".parquet"))


def _check(min_green_s: float, max_green_s: float, scales: "Sequence[float]") -> None:
    if min_green_s >= max_green_s:
        raise ConfigError("--min-green must be below --max-green")
    if any(factor <= 0 for factor in scales):
        raise ConfigError("--scale must be above 0")


def _signals(
    policy: _PolicyName, epsilon: float, extend_s: int, actions: Path | None
) -> "PolicySpec":
    """What controls the signals during the build."""
    from sim_workers.datasets.stored_actions import read_stored_policy
    from sim_workers.engine.policies import PolicySpec

    if actions is None:
        return PolicySpec(name=policy, epsilon=epsilon, extend_s=extend_s)
    if policy != "program":
        raise ConfigError("--actions replaces the policy: give only one of --actions and --policy")
    return read_stored_policy(actions, extend_s, epsilon)


def _build_with_progress(
    config: Path, out: Path, given: Mapping[str, Any], signals: "PolicySpec"
) -> "tuple[Manifest, list[Comparison]]":
    from sim_workers.datasets.build_plan import BuildOptions, Execution
    from sim_workers.datasets.builder import build_dataset

    options = fields_of(BuildOptions, given, policy=signals)
    execution = fields_of(Execution, given)
    comparisons: list[Comparison] = []
    kept = 0
    try:
        columns = ("{task.fields[found]}", TimeElapsedColumn())
        with progress_bar(f"Simulating {config.stem}", *columns, found="") as update:

            def show(built: "Built") -> None:
                nonlocal kept
                if built.states == built.resumed > 0 and not kept:
                    say(f"Resuming: {built.resumed} of {built.slots} states are done", err=True)
                kept = built.states
                update(completed=built.slots_done, total=built.slots, found=_found(built))

            manifest = build_dataset(config, out, options, show, execution, comparisons.append)
            return manifest, comparisons
    except InputError:
        raise
    except BaseException:
        if kept:
            say(f"{kept} states are kept; run the same command again to resume", err=True)
        raise


def _found(built: "Built") -> str:
    found = f"{built.states} states: {built.from_file} from file"
    if built.states > built.from_file:
        found += f", {built.from_anchor + built.from_begin} replayed"
    return f"{found}; {built.compared} of {built.runs} runs compared"


def _tell(
    manifest: "Manifest", comparisons: "Sequence[Comparison]", out: Path, as_json: bool
) -> None:
    if as_json:
        print_json({"dataset": str(out), "manifest": manifest.model_dump(mode="json")})
    else:
        _show(manifest, comparisons, out)


def _show(manifest: "Manifest", comparisons: "Sequence[Comparison]", out: Path) -> None:
    report, scenario, runs = manifest.build, manifest.scenario, manifest.simulations
    anchored, replayed = report.anchored, report.replayed - report.anchored
    rows = [
        ("scenario", scenario.scenario_id),
        ("runs", ", ".join(run.run for run in runs)),
        ("compared with", _compared(manifest, comparisons)),
    ]
    for run in runs:
        if run.deviation is not None:
            rows.append(("  deviates", f"{run.run}: {run.deviation}"))
        if run.sensitivity is not None:
            said = f"{run.run}: from {run.sensitivity.time_s:g} s on; workers check for it"
            rows.append(("  depends on addresses", said))
    rows += [
        ("teleporting", _teleporting(scenario.time_to_teleport_s)),
        ("states", str(report.states)),
        ("  from their file", str(report.states - report.replayed)),
        ("  from an earlier one", f"{anchored}, replayed"),
        ("  from the begin", f"{replayed}, replayed"),
    ]
    if report.repeated:
        rows.append(("repeated", f"{report.repeated} states of several runs, kept once"))
    rows += [("rows", str(report.rows)), ("signals", ", ".join(manifest.signals))]
    rows += [("nothing to decide", f"{tls}: {why}") for tls, why in report.undecidable.items()]
    rows.append(("reproduce with", _recipe(manifest)))
    if scenario.dropped_options:
        rows.append(("options left out", ", ".join(scenario.dropped_options)))
    if scenario.replaced_outputs:
        rows.append(("outputs to nowhere", "; ".join(scenario.replaced_outputs)))
    print_rows(f"Dataset {out}", rows)
    print_warnings(screen(), comparisons)
    say(f"Next: greenfork serve --dataset {out}")


def _compared(manifest: "Manifest", comparisons: "Sequence[Comparison]") -> str:
    """What the runs were compared with, how far, and what that took."""
    own = sum(run.fidelity == "own" for run in manifest.simulations)
    runs = len(manifest.simulations)
    seconds = sum((run.compared_to_s or run.begin_s) - run.begin_s for run in manifest.simulations)
    took_s = sum(comparison.wall_s for comparison in comparisons)
    return (
        f"your configuration: {own} of {runs} runs identical, second by second "
        f"({seconds:g} simulated seconds, in {took_s:.1f} s)"
    )


def _teleporting(time_s: float | None) -> str:
    return "never" if time_s is None or time_s < 0 else f"after {time_s:g} s of waiting"


def _recipe(manifest: "Manifest") -> str:
    """How plain SUMO reproduces the first run."""
    command = f"sumo {' '.join(manifest.simulation.command)}"
    actions = manifest.simulation.actions
    return command if actions is None else f"{command}, and the calls in {actions}"
