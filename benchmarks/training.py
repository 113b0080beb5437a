"""``python -m benchmarks.training``: what a GRPO step waits for its rewards.

Trains by a preset (``cpu-demo``) through a real service that has never seen the dataset, as many
steps as make some epochs of the same states, and tells of each epoch: the time of a step, the
time the service took for its rewards, the share of the step that the training stood still for
them, and the rollouts behind them. Once without a reference model, as the preset has it; once with
``reward_look_ahead``; and once with a reference model: while that computes, the service works, too.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.datasets import build, options_of
from benchmarks.gateways import GatewayServer
from benchmarks.records import append, surroundings
from trainer import load_config, load_grpo_dataset, train_grpo
from trainer.runs.history import read_metrics

__all__ = ["main"]

_COLUMNS = ("step_seconds", "reward_service/seconds", "reward_service/waited_share")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, appends a JSON line."""
    parser = options_of(__doc__, states=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--config", default="cpu-demo", help="training settings: a preset or file")
    parser.add_argument("--model-path", help="a folder with a model; default: the preset's")
    parser.add_argument("--workers", type=int, default=2, help="simulation workers")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / options.network
        build(options.network, dataset, states=options.states)
        runs = ((0.0, False), (0.0, True), (0.1, False))
        found = [_train(Path(folder), dataset, *run, options) for run in runs]
    _print(found, options.config)
    versions = surroundings("torch", "trl", "transformers")["versions"]
    what = {
        "network": options.network,
        "config": options.config,
        "model": options.model_path or "smollm2-135m",
    }
    append(options.results, "training", {**what, "versions": versions, "runs": found})


def _train(
    folder: Path,
    dataset: Path,
    kl_coeff: float,
    is_looking_ahead: bool,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One run with a ledger of its own, epoch by epoch."""
    root = folder / f"kl-{kl_coeff}-{is_looking_ahead}"
    root.mkdir()
    rows = len(load_grpo_dataset(dataset))
    shape = load_config(options.config)
    prompts = shape.batch_size * shape.gradient_accumulation_steps // shape.num_generations
    steps = max(1, rows // prompts)
    with GatewayServer(dataset, root / "data", options.workers) as gateway:
        config = load_config(
            options.config,
            {
                "model_path": options.model_path,
                "dataset_path": str(dataset),
                "output_dir": str(root / "run"),
                "reward_url": gateway.url,
                "kl_coeff": kl_coeff,
                "reward_look_ahead": is_looking_ahead,
                "max_steps": options.epochs * steps,
                "max_train_s": 3600,
                "logging_steps": 1,
                "save_steps": 1000,
                "save_merged": False,
            },
        )
        report = train_grpo(config)
    lines = read_metrics(report.files.metrics)
    epochs = [lines[start : start + steps] for start in range(0, len(lines), steps)]
    return {
        "kl_coeff": kl_coeff,
        "look_ahead": is_looking_ahead,
        "rollouts": report.rollouts,
        "states": rows,
        "completions_a_step": prompts * shape.num_generations,
        "epochs": [_epoch(epoch) for epoch in epochs],
    }


def _epoch(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The means over an epoch's steps; rollouts are counted."""
    step_s, service_s, _ = (fmean(line[name] for line in lines) for name in _COLUMNS)
    waited_s = fmean(line["reward_service/waited_share"] * line["step_seconds"] for line in lines)
    return {
        "step_s": round(step_s, 2),
        "service_s": round(service_s, 3),
        "waited_s": round(waited_s, 3),
        "waited_share": round(waited_s / step_s, 4),
        "rollouts": sum(line["reward_service/rollouts"] for line in lines),
        "cached": round(fmean(line["outcomes/cached"] for line in lines), 2),
    }


def _print(found: Sequence[dict[str, Any]], config: str) -> None:
    table = Table(title=f"Waiting for rewards: GRPO by {config}, means a step")
    for column in (
        "KL",
        "ahead",
        "epoch",
        "step",
        "service",
        "waited",
        "share",
        "rollouts",
        "cached",
    ):
        table.add_column(column, justify="right")
    for run in found:
        for number, epoch in enumerate(run["epochs"], start=1):
            table.add_row(
                f"{run['kl_coeff']:g}",
                "yes" if run["look_ahead"] else "no",
                str(number),
                f"{epoch['step_s']:.2f} s",
                f"{epoch['service_s']:.3f} s",
                f"{epoch['waited_s']:.3f} s",
                f"{epoch['waited_share']:.1%}",
                f"{epoch['rollouts']:.0f}",
                f"{epoch['cached']:.0%}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
