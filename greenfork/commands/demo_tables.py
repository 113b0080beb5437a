"""What the demo says at its end: what was done, whether rewards rose, and where everything is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from greenfork.screen import print_rows

__all__ = ["print_done", "print_files", "print_rewards"]

_ENDS = 10
"""Steps at each end of the training that are compared; single batches are of different states."""


def print_done(console: Console, scored: list[dict[str, Any]], trained: dict[str, Any]) -> None:
    """The items that were scored, and what that took.

    Args:
        console: Where to.
        scored: Summaries of ``greenfork score``, in order.
        trained: The report of ``greenfork train grpo``.
    """
    names = ("items", "invalid", "failed", "cached", "rollouts", "per second")
    columns = (Column(name, justify="right") for name in names)
    table = Table("", *columns, title="What was scored", title_justify="left")
    for name, summary in zip(("offline", "repeated"), scored, strict=True):
        lines = summary["lines"]
        shares = [summary[key] / lines for key in ("invalid", "failed", "cached")]
        table.add_row(
            name,
            str(lines),
            *(f"{share:.0%}" for share in shares),
            str(summary["rollouts"]),
            f"{summary['items_per_s']:.0f}",
        )
    completions, seconds = trained["completions"], trained["reward_seconds"]
    table.add_row(
        f"GRPO, {trained['steps']} steps",
        str(completions),
        *(f"{trained[f'{key}_share']:.0%}" for key in ("invalid", "failed", "cached")),
        str(trained["rollouts"]),
        f"{completions / seconds:.0f}" if seconds else "-",
    )
    console.print()
    console.print(table)
    console.print(
        "rollouts: simulations run, references included; the rest came from the ledger\n"
        "per second: items, as seen by the caller",
        style="dim",
    )


def print_rewards(console: Console, trained: dict[str, Any]) -> None:
    """The reward and the regret at both ends of the training, whichever way they went.

    Args:
        console: Where to.
        trained: The report of ``greenfork train grpo``; regrets are in its metrics file.
    """
    from trainer.runs.history import read_metrics

    lines = read_metrics(Path(trained["files"]["metrics"]))
    console.print()
    for name, metric in (("reward", "reward"), ("regret in vehicles", "outcomes/regret_veh")):
        values = [line[metric] for line in lines if metric in line]
        if values:
            console.print(f"The {name} {_course(values)}.", highlight=False)
        else:
            console.print(f"The {name} was not computed.")


def _course(values: Sequence[float]) -> str:
    """Where it began and where it ended.

    >>> _course([-0.5, -0.3, 0.1, 0.3])
    'rose: -0.400 in the first 2 of 4 steps, +0.200 in the last 2'
    """
    count = min(_ENDS, max(1, len(values) // 2))
    first, last = (sum(part) / count for part in (values[:count], values[-count:]))
    way = "rose" if last > first else "fell" if last < first else "stayed"
    began = f"{first:+.3f} in the first {count} of {len(values)} steps"
    return f"{way}: {began}, {last:+.3f} in the last {count}"


def print_files(console: Console, places: dict[str, Path | str | None]) -> None:
    """Where everything is; what there is not is left out."""
    console.print()
    print_rows("Files", ((name, str(place)) for name, place in places.items() if place is not None))
