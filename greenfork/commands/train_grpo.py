"""``greenfork train grpo``: train a language model through a reward URL."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.commands import train_options as options
from greenfork.screen import figure

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
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            help="A YAML file, or the name of a preset: cpu-demo, small, gpu-transformers, gpu, "
            "multi-gpu."
        ),
    ] = None,
    model_path: Annotated[
        str | None, typer.Option(help="Folder with a model, or smollm2-135m.")
    ] = None,
    base_path: options.Base = None,
    dataset_path: options.DatasetPath = None,
    output_dir: options.OutputDir = None,
    reward_url: Annotated[str | None, typer.Option(help="Reward service URL.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Completions per forward pass.")] = None,
    num_train_epochs: Annotated[
        float | None, typer.Option("--num-epochs", help="Passes over the dataset.")
    ] = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    settings: options.SetPairs = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Train by GRPO: the model answers, the traffic simulation rewards, the model learns.

    What the command line sets wins over the file, and the file over the defaults. Every setting is
    described in docs/settings.md.
    """
    from trainer import GRPOTrainingConfig, train_grpo

    key = os.environ.get("GREENFORK_API_KEY")
    resolved = options.settings_of(GRPOTrainingConfig, context.params, reward_api_key=key)
    options.run_or_rehearse(resolved, context.params, _rehearsed, train_grpo, _rows)


def _rehearsed(config: "GRPOTrainingConfig") -> options.Findings:
    from trainer.grpo.preflight import check_run
    from trainer.grpo.run import rehearse

    ready = check_run(config)
    rehearsal = rehearse(config, ready)
    found = {
        "rows": len(ready.dataset),
        "rows that fit": rehearsal.rows,
        "longest prompt": rehearsal.longest_prompt,
        **options.hardware_found(ready.hardware),
        "service_states": ready.service.states,
    }
    lines = [f"#   {line}" for line in rehearsal.prompt.splitlines()]
    return options.Findings(found, "\n".join(["# a prompt:", *lines]))


def _rows(report: "TrainingReport") -> Iterable[tuple[str, str]]:
    files = report.files
    return (
        ("steps", str(report.steps)),
        ("seconds per step", figure(report.seconds_per_step, ".1f")),
        ("completions", str(report.completions)),
        ("reward, first batches", figure(report.reward_first, "+.3f")),
        ("reward, last batches", figure(report.reward_last, "+.3f")),
        ("invalid", f"{report.invalid_share:.1%}"),
        ("failed", f"{report.failed_share:.1%}"),
        ("cached", f"{report.cached_share:.1%}"),
        ("rollouts", str(report.rollouts)),
        ("waited for rewards", figure(report.reward_wait_share, ".1%", " of the time")),
        ("outages of the service", str(report.outages)),
        ("hints", ", ".join(f"{name} x{n}" for name, n in report.hints.items()) or "-"),
        ("adapter", str(files.adapter or "-")),
        ("model", str(files.model or files.merged or "-")),
        ("plot", str(files.plot)),
    )
