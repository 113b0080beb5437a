"""``greenfork report``: a training run, an evaluation or episodes as one page to look at."""

from pathlib import Path
from typing import Annotated

import typer

from greenfork.output import print_json
from greenfork.screen import say

__all__ = ["EXAMPLES", "report"]

EXAMPLES = """Examples:

greenfork report runs/demo/training

greenfork report runs/demo/training evaluation.json control.json --out paper.html
"""


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="A training run's folder, or a file that `evaluate --json` or `control --json` "
            "printed. Several make one page.",
            metavar="RUN...",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Its title. Default: the first name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is as JSON.")] = False,
) -> None:
    """Write a page with curves, tables and samples that opens without a server or a network."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    from greenfork.reports.page import page_of
    from greenfork.reports.sections import section_of
    from shared.errors import InputError
    from shared.files import os_errors

    sections = [section_of(path) for path in results]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    named = title or f"Greenfork: {results[0].resolve().stem}"
    page = page_of(named, f"greenfork {version('greenfork')}, {now}", sections)
    with os_errors(InputError, f"cannot write {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    if as_json:
        print_json({"report": str(out), "sections": [section.title for section in sections]})
    else:
        say(f"{out}: {len(page) / 1000:.0f} kB, open it in a browser")
