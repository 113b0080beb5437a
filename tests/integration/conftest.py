"""Real datasets, built once per session with real SUMO, whichever test process asks first."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.scenarios.resco import locate_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
OWN = {name: SCENARIOS / name / f"{name}.sumocfg" for name in ("crossing", "grid2x2")}
CITIES = ("resco:cologne1", "resco:ingolstadt1")
STATES = 8
WITHOUT_END = "crossing without end"
"""Its configuration names no end, so that rollouts of any length can be asked for."""


def _without_end(folder: Path) -> Path:
    for path in (SCENARIOS / "crossing").glob("crossing.*.xml"):
        shutil.copy(path, folder)
    config = folder / "crossing.sumocfg"
    text = OWN["crossing"].read_text()
    config.write_text(text.replace('<end value="3600"/>', ""))
    assert config.read_text() != text
    return config


def read_rows(dataset: Path) -> list[dict[str, Any]]:
    """The rows of both splits, as plain JSON."""
    return [
        json.loads(line)
        for split in ("train", "eval")
        for line in (dataset / f"{split}.jsonl").read_text().splitlines()
    ]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Lets Ctrl-C reach what tests start; a shell has its background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def dataset_of(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Path]:
    """Builds the dataset of a scenario, with outcomes, the first time it is asked for.

    Test processes that run side by side share the datasets, so nobody may change one.
    """
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "datasets"
    shared.mkdir(exist_ok=True)

    @cache
    def build(reference: str) -> Path:
        folder = shared / hashlib.sha256(reference.encode()).hexdigest()[:8]
        with FileLock(f"{folder}.lock"):
            folder.mkdir(exist_ok=True)
            if reference == WITHOUT_END:
                config = _without_end(folder)
            else:
                config = OWN.get(reference) or locate_scenario(reference)
            out = folder / "dataset" / config.stem
            if not out.exists():
                build_dataset(
                    config, out, BuildOptions(seeds=(7,), states=STATES, with_outcomes=True)
                )
        return out

    return build
