"""What benchmarks begin with: a dataset of a network, built for the occasion."""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS
from shared.dataset import DatasetLayout
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.scenarios.resco import locate_scenario

__all__ = ["build", "options_of", "rows_of"]


def options_of(description: str | None, states: int) -> argparse.ArgumentParser:
    """The options of a benchmark on one network; it adds its own.

    Args:
        description: What it measures.
        states: How many states it has where nobody says.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--network", default="cologne1")
    parser.add_argument("--states", type=int, default=states)
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    return parser


def build(network: str, dataset: Path, **options: Any) -> None:  # noqa: ANN401 - BuildOptions'
    """Builds a dataset of one run of a RESCO network."""
    build_dataset(locate_scenario(f"resco:{network}"), dataset, BuildOptions(seeds=(1,), **options))


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    """The rows of a dataset, of both splits."""
    layout = DatasetLayout(dataset)
    files = (layout.rows("train"), layout.rows("eval"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
