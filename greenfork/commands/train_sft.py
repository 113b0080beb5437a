"""``greenfork train sft``: teach a language model answers, or make one and teach it."""

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
    from trainer.sft import SFTReport, SFTTrainingConfig

__all__ = ["EXAMPLES", "sft"]

EXAMPLES = """Examples:

greenfork train sft --config warm-start --dataset-path datasets/crossing

greenfork train sft --config cold-start --dataset-path datasets/crossing --output-dir runs/sft

greenfork train sft --model-path smollm2-135m --source format --dataset-path datasets --dry-run

greenfork train sft --config warm-start --dataset-path datasets --set "source={reading: 3, best: 1}"
"""

_Config = Annotated[
    str | None,
    typer.Option(help="A YAML file, or the name of a preset: warm-start, cold-start."),
]
_ModelPath = Annotated[
    str | None,
    typer.Option(help="A folder with a model, smollm2-135m, or new for a small one of our own."),
]
_Source = Annotated[
    str | None,
    typer.Option(help="What is taught: best, format, reading, noisy_rule, recorded, …"),
]


def sft(
    config: _Config = None,
    model_path: _ModelPath = None,
    base: Base = None,
    dataset_path: DatasetPath = None,
    output_dir: OutputDir = None,
    source: _Source = None,
    lessons: Annotated[int | None, typer.Option(help="How many lessons are drawn.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Lessons a forward pass.")] = None,
    num_epochs: Annotated[float | None, typer.Option(help="Passes over the lessons.")] = None,
    max_steps: MaxSteps = None,
    seed: Seed = None,
    settings: SetPairs = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train on answers that are known: the best decisions, legal ones, a rule's, or reading.

    What the command line sets wins over the file, and the file over the defaults. What can be
    taught, and what it is good for, is in docs/warm-start.md.
    """
    from trainer.settings import load_settings
    from trainer.sft import SFTTrainingConfig

    named: dict[str, object] = {
        "model_path": model_path,
        "base_path": base,
        "dataset_path": dataset_path,
        "output_dir": output_dir,
        "source": source,
        "lessons": lessons,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "num_train_epochs": num_epochs,
        "max_steps": max_steps,
        "seed": seed,
    }
    resolved = load_settings(SFTTrainingConfig, config, chosen(named, settings))
    if dry_run:
        _check_only(resolved, as_json)
    else:
        _train(resolved, as_json)


def _check_only(config: "SFTTrainingConfig", as_json: bool) -> None:
    from trainer.environment import stay_offline
    from trainer.models.loading import load_tokenizer
    from trainer.sft.run import prepare_sft
    from trainer.sft.texts import tokenized

    stay_offline()
    ready = prepare_sft(config)
    if not config.is_new:
        tokenized(ready.lessons, load_tokenizer(config), config.max_seq_length)
    found = {
        "rows": len(ready.rows.train),
        "rows held out": len(ready.rows.held_out),
        **{f"lessons of {name}": count for name, count in ready.lesson_counts.items()},
        **hardware_found(ready.hardware),
    }
    print_checked(config, found, as_json)
    if not as_json:
        lesson = ready.lessons[0]
        say("# a lesson:\n" + "\n".join(f"#   {m.role}: {m.content}" for m in lesson.prompt))
        say(f"#   assistant: {lesson.answer}")


def _train(config: "SFTTrainingConfig", as_json: bool) -> None:
    from greenfork.output import print_json
    from trainer.sft import train_sft

    report = train_sft(config)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print_report(report, Path(config.output_dir))


def _print_report(report: "SFTReport", output_dir: Path) -> None:
    from rich.table import Table

    pace, files, check = report.seconds_per_step, report.files, report.check
    lessons = ", ".join(f"{count} {name}" for name, count in report.lessons.items())
    table = Table(title=str(output_dir), show_header=False)
    rows = [
        ("lessons", lessons),
        ("parameters", f"{report.parameters:,}"),
        ("of these trained", f"{report.trained_parameters:,}"),
        ("steps", str(report.steps)),
        ("seconds per step", "-" if pace is None else f"{pace:.2f}"),
        ("loss, first and last", f"{_number(report.loss_first)}, {_number(report.loss_last)}"),
    ]
    if check is not None:
        rows += [
            ("unseen rows answered", str(check.rows)),
            ("strict JSON", f"{check.strict_share:.1%}"),
            ("invalid", f"{check.invalid_share:.1%}"),
            ("agree with the best", _percent(check.agreement)),
            ("yes", _percent(check.yes_share)),
        ]
    rows += [
        (name, str(place))
        for name, place in (
            ("model", files.model),
            ("adapter", files.adapter),
            ("merged model", files.merged),
            ("plot", files.plot),
        )
        if place is not None
    ]
    for row in rows:
        table.add_row(*row)
    screen().print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
