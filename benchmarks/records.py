"""Where measurements are written down: a JSON line each, with versions and hardware."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "append", "surroundings"]

RESULTS = Path(__file__).parent / "results.jsonl"


def append(path: Path, benchmark: str, found: dict[str, Any]) -> None:
    """Appends what a benchmark found."""
    line = {"benchmark": benchmark, **surroundings(), **found}
    with path.open("a") as results:
        results.write(json.dumps(line) + "\n")


def surroundings(*packages: str) -> dict[str, Any]:
    """When, with which versions and on what hardware something is measured.

    Args:
        packages: Whose versions matter, beside our own and the simulator's.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("greenfork", "libsumo", "ray", *packages)},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "processor": platform.machine(),
    }
