"""Where measurements are written down: a JSON line each, with versions and hardware."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "append"]

RESULTS = Path(__file__).parent / "results.jsonl"


def append(path: Path, benchmark: str, found: dict[str, Any]) -> None:
    """Appends what a benchmark found."""
    line = {
        "benchmark": benchmark,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("greenfork", "libsumo", "ray")},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        **found,
    }
    with path.open("a") as results:
        results.write(json.dumps(line) + "\n")
