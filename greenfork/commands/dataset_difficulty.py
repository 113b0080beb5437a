"""``greenfork dataset difficulty``: what is easy and what is hard in a dataset."""

from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.output import print_json
from greenfork.screen import figure, screen

if TYPE_CHECKING:
    from trainer.curriculum import DomainBuckets, GradedSample

__all__ = ["EXAMPLE", "difficulty"]

EXAMPLE = "Example: greenfork dataset difficulty datasets/cologne1"


def difficulty(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A dataset folder, a folder of several, a file of rows, or *.pddl problems."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the buckets as JSON.")] = False,
) -> None:
    """Print the difficulty buckets that a curriculum makes of a dataset.

    Each scenario is a domain. Its samples are easy up to the 40th percentile of their difficulties,
    medium up to the 80th, and hard above. docs/training.md says how difficulty is computed.
    """
    from trainer.curriculum import buckets_of
    from trainer.curriculum.sources import samples_under

    samples = samples_under(dataset)
    buckets = buckets_of(samples)
    if as_json:
        bodies = [_body(bucket, samples) for bucket in buckets]
        print_json({"dataset": str(dataset), "samples": len(samples), "domains": bodies})
    else:
        _show(dataset, buckets, samples)


def _body(bucket: "DomainBuckets", samples: "list[GradedSample]") -> dict[str, object]:
    """One domain for machines."""
    levels = {
        level: {"samples": len(rows), **_range(rows, samples)}
        for level, rows in bucket.rows.items()
    }
    return {
        "domain": bucket.domain,
        "samples": sum(bucket.sizes.values()),
        "unreadable": bucket.unreadable,
        "easy_until": bucket.easy_until,
        "medium_until": bucket.medium_until,
        "statistics": _statistics(bucket, samples),
        "levels": levels,
    }


def _statistics(bucket: "DomainBuckets", samples: "list[GradedSample]") -> dict[str, float | None]:
    """What is known of a domain's difficulties; all null where none can be read."""
    known = [
        found
        for rows in bucket.rows.values()
        for row in rows
        if (found := samples[row].difficulty) is not None
    ]
    return {
        "min": min(known, default=None),
        "max": max(known, default=None),
        "mean": fmean(known) if known else None,
        "median": median(known) if known else None,
        "p40": bucket.easy_until,
        "p80": bucket.medium_until,
    }


def _range(rows: tuple[int, ...], samples: "list[GradedSample]") -> dict[str, float | None]:
    known = [found for row in rows if (found := samples[row].difficulty) is not None]
    return {"from": min(known, default=None), "to": max(known, default=None)}


def _show(
    dataset: Path, buckets: "tuple[DomainBuckets, ...]", samples: "list[GradedSample]"
) -> None:
    from rich.table import Table

    table = Table(title=f"Dataset {dataset}", title_justify="left")
    for heading in ("domain", "level", "samples", "share", "difficulty"):
        table.add_column(heading, justify="left" if heading in {"domain", "level"} else "right")
    for bucket in buckets:
        total = sum(bucket.sizes.values())
        for level, rows in bucket.rows.items():
            name = bucket.domain if level == "easy" else ""
            low, high = _range(rows, samples).values()
            span = "-" if low is None or high is None else f"{low:g} to {high:g}"
            table.add_row(name, level, str(len(rows)), f"{len(rows) / total:.0%}", span)
        table.add_section()
    console = screen()
    console.print(table)
    for bucket in buckets:
        said = ", ".join(
            f"{name} {figure(value, 'g')}" for name, value in _statistics(bucket, samples).items()
        )
        console.print(f"{bucket.domain}: {sum(bucket.sizes.values())} samples, {said}")
    if unreadable := sum(bucket.unreadable for bucket in buckets):
        console.print(f"{unreadable} samples without a readable difficulty count as easy")
    if len(buckets) > 1:
        console.print(
            f"The number of prompts per training step must be a multiple of {len(buckets)}"
        )
