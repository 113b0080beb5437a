"""``greenfork dataset verify``: compute a dataset's outcomes again, by plain SUMO."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import print_rows, say, screen

if TYPE_CHECKING:
    from sim_workers.verification.comparison import Difference, Place, Value, Verification
    from sim_workers.verification.verifier import Checked

__all__ = ["EXAMPLE", "verify"]

EXAMPLE = "Example: greenfork dataset verify datasets/cologne1 --sample 20"
_MAX_LISTED = 20


def verify(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    sample: Annotated[
        int | None, typer.Option(min=1, help="Number of random rows to verify. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of that choice.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The .sumocfg it was built from. Default: the original kept in the dataset."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel simulations. Default: one per core.")
    ] = None,
    engine: Annotated[
        bool,
        typer.Option(
            "--engine", help="Also roll out, as the service does, rows with stored outcomes."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Recompute stored outcomes with plain SUMO, each from the begin of its run.

    SUMO runs the configuration that the dataset was built from, untouched, in a copy of its files.
    A dataset of version 0.1 keeps no original: pass it as --config. If everything is the same, the
    dataset is then marked as the user's own simulation.

    Every metric must match to the last bit. Without stored outcomes, those that the service would
    give are compared. Unverified states that turn out to be exact are marked as such. The exit
    status is 1 if anything differs or could not be checked.
    """
    from sim_workers.verification.verifier import VerifyOptions, verify_dataset

    options = VerifyOptions(sample, seed, workers, engine, config)
    with _progress() as advance:
        report = verify_dataset(dataset, options, advance)
    if as_json:
        print_json(_body(dataset, report))
    else:
        _show(dataset, report)
    raise typer.Exit(0 if report.is_exact else 1)


@contextmanager
def _progress() -> "Iterator[Callable[[Checked], None]]":
    """A bar with the rate."""
    begin_s = perf_counter()
    column = "{task.fields[rate]:.1f}/s, {task.fields[different]} different"
    with progress_bar("verifying decisions", column, rate=0.0, different=0) as update:

        def advance(checked: "Checked") -> None:
            rate = checked.done / (perf_counter() - begin_s)
            update(
                total=checked.total, completed=checked.done, rate=rate, different=checked.different
            )

        yield advance


def _body(dataset: Path, report: "Verification") -> dict[str, object]:
    """The report for machines."""
    return asdict(report) | {
        "dataset": str(dataset),
        "restores": dict(report.restores),  # asdict breaks counters
        "exact": report.exact,
        "differences": [_flat(one) for one in report.differences],
        "largest": {metric: _flat(one) for metric, one in report.largest().items()},
        "unchecked": [asdict(one.place) | {"reason": one.reason} for one in report.unchecked],
    }


def _flat(one: "Difference") -> dict[str, object]:
    fields = asdict(one)
    place: dict[str, object] = fields.pop("place")
    return place | fields | {"size": one.size}


def _show(dataset: Path, report: "Verification") -> None:
    modes = ", ".join(f"{count} {restore}" for restore, count in sorted(report.restores.items()))
    against = {"own": "the user's own configuration", "bundle": "the dataset's own files"}
    rate = report.decisions / report.wall_s if report.wall_s > 0 else 0
    rows = [
        ("rows", f"{report.rows} ({modes})" if modes else "0"),
        ("compared with", against.get(report.against, report.against)),
        *((f"run {run} against the original", found) for run, found in report.compared.items()),
        ("decisions checked", str(report.decisions)),
        ("exact", str(report.exact)),
        ("different", str(report.different)),
    ]
    for metric, one in sorted(report.largest().items()):
        size = "" if one.size is None else f" by {one.size:g}"
        rows.append((f"most different {metric}", f"{_said(one.place)}:{size}"))
    for state_id, restore in report.promoted.items():
        rows.append(("was unverified", f"{state_id} is exact: {restore}"))
    rows += [("stays unverified", f"{s}: {reason}") for s, reason in report.unverified.items()]
    rows.append(("time", f"{report.wall_s:.1f} s, {rate:.1f} decisions per second"))
    print_rows(f"Dataset {dataset}", rows)
    if report.differences:
        screen().print(_listed(report.differences))
    _say_rest(len(report.differences), "differences")
    if report.against != "own":
        say(
            "This dataset keeps no original, so only its own files could be run. They may differ "
            "from your simulation: pass --config YOUR.sumocfg",
            err=True,
        )
    if not report.without_network:
        say("SUMO could have used the network: it cannot be isolated from it here", err=True)
    if report.custom:
        say(
            f"not checked: {', '.join(report.custom)}: plain SUMO cannot compute metrics that "
            "packages add",
            err=True,
        )
    for unchecked in report.unchecked[:_MAX_LISTED]:
        say(f"not checked: {_said(unchecked.place)}: {unchecked.reason}", err=True)
    _say_rest(len(report.unchecked), "things that were not checked")


def _listed(differences: "tuple[Difference, ...]") -> Table:
    table = Table(title="What differs", title_justify="left")
    for heading in ("state", "signal", "decision", "where", "metric", "stored", "true"):
        table.add_column(heading, overflow="fold")
    for one in differences[:_MAX_LISTED]:
        place = one.place
        table.add_row(
            *(place.state_id, place.tls_id, place.decision or "-"),
            *(one.source, one.metric, _exactly(one.stored), _exactly(one.true)),
        )
    return table


def _say_rest(count: int, what: str) -> None:
    if count > _MAX_LISTED:
        say(f"and {count - _MAX_LISTED} more {what}; --json has them all", err=True)


def _said(place: "Place") -> str:
    decision = f", {place.decision}" if place.decision else ""
    return f"{place.state_id}, signal {place.tls_id}{decision}"


def _exactly(value: "Value") -> str:
    """All digits."""
    return "-" if value is None else str(value)
