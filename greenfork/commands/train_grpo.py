"""``greenfork train grpo``: train a language model through a reward URL."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.commands.train_options import (
    AsJson,
    Base,
    DatasetPath,
    DryRun,
    MaxSteps,
    OutputDir,
    Seed,
    SetPairs,
    chosen,
    hardware_found,
    print_checked,
)
from greenfork.screen import say, screen

if TYPE_CHECKING:
    from trainer.grpo.config import GRPOTrainingConfig
    from trainer.runs.reports import TrainingReport

__all__ = ["EXAMPLES", "grpo"]

EXAMPLES = """Examples:

greenfork train grpo --config cpu-demo --dataset-path datasets/crossing

greenfork train grpo --config my.yaml --reward-url http://gpu-box:8000 --max-steps 20

greenfork train grpo --config my.yaml --set kl_coeff=0.05 --set report_to=tensorboard --dry-run
"""


def grpo(
    config: Annotated[
        str | None,
        typer.Option(
            help="A YAML file, or the name of a preset: cpu-demo, small, gpu-transformers, gpu, "
            "multi-gpu."
        ),
    ] = None,
    model_path: Annotated[
        str | None, typer.Option(help="A folder with a model, or smollm2-135m.")
    ] = None,
    base: Base = None,
    dataset_path: DatasetPath = None,
    output_dir: OutputDir = None,
    reward_url: Annotated[str | None, typer.Option(help="The reward service.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Completions per forward pass.")] = None,
    num_epochs: Annotated[float | None, typer.Option(help="Passes over the dataset.")] = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    settings: SetPairs = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train by GRPO: the model answers, the traffic simulation rewards, the model learns.

    What the command line sets wins over the file, and the file over the defaults. Every setting is
    described in docs/settings.md.
    """
    from trainer import load_config

    named: dict[str, object] = {
        "model_path": model_path,
        "base_path": base,
        "dataset_path": dataset_path,
        "output_dir": output_dir,
        "reward_url": reward_url,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "num_train_epochs": num_epochs,
        "max_steps": max_steps,
        "seed": seed,
        "reward_api_key": os.environ.get("GREENFORK_API_KEY"),
    }
    resolved = load_config(config, chosen(named, settings))
    if dry_run:
        _check_only(resolved, as_json)
    else:
        _train(resolved, as_json)


def _check_only(config: "GRPOTrainingConfig", as_json: bool) -> None:
    from trainer.environment import stay_offline
    from trainer.grpo.preflight import check_run
    from trainer.grpo.run import rehearse

    stay_offline()
    ready = check_run(config)
    rehearsal = rehearse(config, ready)
    found = {
        "rows": len(ready.dataset),
        "rows that fit": rehearsal.rows,
        "longest prompt": rehearsal.longest_prompt,
        **hardware_found(ready.hardware),
        "service_states": ready.service.states,
    }
    print_checked(config, found, as_json)
    if not as_json:
        say("# a prompt:\n" + "\n".join(f"#   {line}" for line in rehearsal.prompt.splitlines()))


def _train(config: "GRPOTrainingConfig", as_json: bool) -> None:
    from greenfork.output import print_json
    from trainer import train_grpo
    from trainer.environment import is_first_rank

    report = train_grpo(config)
    if not is_first_rank():
        return
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print_report(report, Path(config.output_dir))


def _print_report(report: "TrainingReport", output_dir: Path) -> None:
    from rich.table import Table

    pace = report.seconds_per_step
    table = Table(title=str(output_dir), show_header=False)
    for name, value in (
        ("steps", str(report.steps)),
        ("seconds per step", "-" if pace is None else f"{pace:.1f}"),
        ("completions", str(report.completions)),
        ("reward, first batches", _number(report.reward_first)),
        ("reward, last batches", _number(report.reward_last)),
        ("invalid", f"{report.invalid_share:.1%}"),
        ("failed", f"{report.failed_share:.1%}"),
        ("cached", f"{report.cached_share:.1%}"),
        ("rollouts", str(report.rollouts)),
        ("waited for rewards", _share(report.reward_wait_share)),
        ("outages of the service", str(report.outages)),
        ("hints", ", ".join(f"{name} x{n}" for name, n in report.hints.items()) or "-"),
        ("adapter", str(report.files.adapter or "-")),
        ("model", str(report.files.model or report.files.merged or "-")),
        ("plot", str(report.files.plot)),
    ):
        table.add_row(name, value)
    screen().print(table)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%} of the time"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
