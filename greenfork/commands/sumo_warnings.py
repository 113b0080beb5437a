"""What SUMO warned of, shown once."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from sim_workers.verification.fidelity import Comparison

__all__ = ["print_warnings"]

_MAX_SHOWN = 8


def print_warnings(console: "Console", comparisons: "Iterable[Comparison]") -> None:
    """Prints the warnings of the first run, those of one kind together."""
    warnings = next((each.warnings for each in comparisons), ())
    if not warnings:
        return
    console.print("SUMO warnings about your configuration:")
    for warning in warnings[:_MAX_SHOWN]:
        console.print(f"  {warning}")
    if len(warnings) > _MAX_SHOWN:
        console.print(f"  and {len(warnings) - _MAX_SHOWN} other kinds")
