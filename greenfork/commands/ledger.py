"""``greenfork ledger``: look into the record of outcomes, beside the gateways that write it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say, screen
from shared.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from reward_server.storage.stats import LedgerStats

__all__ = ["app"]

app = typer.Typer(
    help="Export and count the outcomes in the ledger; gateways may keep running.",
    no_args_is_help=True,
)

_EXPORT_EXAMPLES = """Examples:

greenfork ledger export --output outcomes.parquet

greenfork ledger export --output crossing.parquet --data-dir greenfork-data --scenario crossing

GREENFORK_SERVER_DATABASE_URL=postgresql://… greenfork ledger export --output outcomes.parquet
"""
_STATS_EXAMPLE = "Example: greenfork ledger stats --data-dir greenfork-data"

_DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the ledger, as for greenfork serve. Default: greenfork-data."),
]
_DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="URL of the ledger, as for greenfork serve: sqlite:///FILE or "
        "postgresql://USER@HOST/NAME. Default: GREENFORK_SERVER_DATABASE_URL, or ledger.sqlite in "
        "the data directory."
    ),
]


@app.command(epilog=_EXPORT_EXAMPLES)
def export(
    output: Annotated[Path, typer.Option(help="Parquet file to write.")],
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    scenario: Annotated[
        str | None, typer.Option(help="Only outcomes of states of this scenario, by its name.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Only outcomes of this state, by its id.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write outcomes to a Parquet file, one per row, in the order of their keys.

    Columns: key, state_id, tls_id, decision (JSON), horizon_s, simulator, every metric, created_at.
    """
    from reward_server.storage.export import export_outcomes
    from reward_server.storage.reading import Selection

    if output.exists() and not force:
        raise InputError(f"{output} already exists; pass --force to overwrite it", "exists")
    url = _url(data_dir, database_url)
    with progress_bar("exporting") as update:
        number = export_outcomes(
            url,
            output,
            Selection(scenario, state),
            lambda done, total: update(completed=done, total=total),
        )
    size_bytes = output.stat().st_size
    if as_json:
        print_json({"outcomes": number, "output": str(output), "size_bytes": size_bytes})
    else:
        say(f"{number} outcomes in {output}, {decimal(size_bytes)}")


@app.command(epilog=_STATS_EXAMPLE)
def stats(
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Count the outcomes: how many, of how many states, since when, by simulator and scenario."""
    from reward_server.storage.stats import count_ledger

    counted = count_ledger(_url(data_dir, database_url))
    if as_json:
        body = asdict(counted)
        times = {"first_at": _time(body.pop("first_s")), "last_at": _time(body.pop("last_s"))}
        print_json(body | times)
    else:
        _print_table(counted)


def _url(data_dir: Path | None, database_url: str | None) -> "URL":
    from reward_server.settings import load_settings

    return load_settings({"data_dir": data_dir, "database_url": database_url}).database()


def _print_table(counted: "LedgerStats") -> None:
    from rich.table import Table

    table = Table(title="ledger", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("outcomes", str(counted.outcomes))
    table.add_row("states", str(counted.states))
    table.add_row("size", decimal(counted.size_bytes))
    table.add_row("first", _time(counted.first_s) or "-")
    table.add_row("last", _time(counted.last_s) or "-")
    for by in (counted.by_simulator, counted.by_scenario):
        table.add_section()
        for name, number in by.items():
            table.add_row(name, str(number))
    screen().print(table)


def _time(time_s: float | None) -> str | None:
    from datetime import UTC, datetime

    return None if time_s is None else datetime.fromtimestamp(time_s, UTC).isoformat()
