"""``greenfork train sft``: teach a language model answers, or make one and teach it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.commands import train_options as options
from greenfork.screen import figure

if TYPE_CHECKING:
    from trainer.sft import SFTReport, SFTTrainingConfig

__all__ = ["EXAMPLES", "sft"]

EXAMPLES = """Examples:

greenfork train sft --config warm-start --dataset-path datasets/crossing

greenfork train sft --config cold-start --dataset-path datasets/crossing --output-dir runs/sft

greenfork train sft --model-path smollm2-135m --source format --dataset-path datasets --dry-run

greenfork train sft --config warm-start --dataset-path datasets --set "source={reading: 3, best: 1}"
"""


def sft(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(help="A YAML file, or the name of a preset: warm-start, cold-start."),
    ] = None,
    model_path: Annotated[
        str | None,
        typer.Option(help="Folder with a model, smollm2-135m, or new to create a small one."),
    ] = None,
    base_path: options.Base = None,
    dataset_path: options.DatasetPath = None,
    output_dir: options.OutputDir = None,
    source: Annotated[
        str | None,
        typer.Option(help="Source of lessons: best, format, reading, noisy_rule, recorded, …"),
    ] = None,
    lessons: Annotated[int | None, typer.Option(help="Number of lessons.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Lessons per forward pass.")] = None,
    num_train_epochs: Annotated[
        float | None, typer.Option("--num-epochs", help="Passes over the lessons.")
    ] = None,
    max_steps: options.MaxSteps = None,
    seed: options.Seed = None,
    settings: options.SetPairs = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Train on answers that are known: the best decisions, legal ones, a rule's, or reading.

    What the command line sets wins over the file, and the file over the defaults. What can be
    taught, and what it is good for, is in docs/warm-start.md.
    """
    from trainer.sft import SFTTrainingConfig, train_sft

    resolved = options.settings_of(SFTTrainingConfig, context.params)
    options.run_or_rehearse(resolved, context.params, _rehearsed, train_sft, _rows)


def _rehearsed(config: "SFTTrainingConfig") -> options.Findings:
    from trainer.models.loading import load_tokenizer
    from trainer.sft.run import prepare_sft
    from trainer.sft.texts import tokenized

    ready = prepare_sft(config)
    if not config.is_new:
        tokenized(ready.lessons, load_tokenizer(config), config.max_seq_length)
    found = {
        "rows": len(ready.rows.train),
        "rows held out": len(ready.rows.held_out),
        **{f"lessons of {name}": count for name, count in ready.lesson_counts.items()},
        **options.hardware_found(ready.hardware),
    }
    said = [f"#   {m['role']}: {m['content']}" for m in ready.lessons[0].conversation]
    return options.Findings(found, "\n".join(["# a lesson:", *said]))


def _rows(report: "SFTReport") -> Iterable[tuple[str, str]]:
    files, check = report.files, report.check
    losses = report.loss_first, report.loss_last
    lessons = ", ".join(f"{count} {name}" for name, count in report.lessons.items())
    rows = [
        ("lessons", lessons),
        ("parameters", f"{report.parameters:,}"),
        ("of these trained", f"{report.trained_parameters:,}"),
        ("steps", str(report.steps)),
        ("seconds per step", figure(report.seconds_per_step, ".2f")),
        ("loss, first and last", ", ".join(figure(loss, ".3f") for loss in losses)),
    ]
    if check is not None:
        rows += [
            ("unseen rows answered", str(check.rows)),
            ("strict JSON", f"{check.strict_share:.1%}"),
            ("invalid", f"{check.invalid_share:.1%}"),
            ("agree with the best", figure(check.agreement, ".0%")),
            ("yes", figure(check.yes_share, ".0%")),
        ]
    places = ("model", files.model), ("adapter", files.adapter), ("merged model", files.merged)
    return rows + [(name, str(place)) for name, place in (*places, ("plot", files.plot)) if place]
