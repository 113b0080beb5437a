"""Real datasets, built once per session with real SUMO, whichever test process asks first."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.fork_client import ForkServer
from sim_workers.scenarios.resco import locate_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
OWN = {name: SCENARIOS / name / f"{name}.sumocfg" for name in ("crossing", "grid2x2")}
CITIES = ("resco:cologne1", "resco:ingolstadt1")
STATES = 8
_ENDS_S = {"grid2x2": 1200.0, "resco:cologne1": 27_000.0, "resco:ingolstadt1": 59_400.0}
"""Where a dataset ends before its configuration does: the earlier, the sooner is it replayed."""
_SECONDS = {
    60: "any_scenario demo exactness families generated_scenarios grpo jobs rewards uploads "
    "verification",
    30: "builder curriculum decision_semantics episodes failures_contract faults fidelity "
    "interrupted keeper loop_watchdog offline openings ranks resumption rude_clients runs "
    "schema_fuzz serve sft soak two_gateways",
}
"""How long a module takes at least, about; those that are not here take less."""
_LEAST_S = {f"test_{name}": least for least, names in _SECONDS.items() for name in names.split()}
WITHOUT_END = "crossing without end"
"""Its configuration names no end, so that rollouts of any length can be asked for."""


_STARTED_BY = (
    "sim_workers.controllers.runs",
    "sim_workers.datasets.builder",
    "sim_workers.datasets.inspection",
    "sim_workers.verification.truth",
)
"""Modules that start a fork server for each thing they are asked for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the long modules, so that none of two test processes is left alone with one."""
    ours = Path(__file__).parent
    items.sort(key=lambda item: -_LEAST_S.get(item.path.stem, 0) * (ours in item.path.parents))


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
                end_s = _ENDS_S.get(reference)
                options = BuildOptions(seeds=(7,), states=STATES, end_s=end_s, with_outcomes=True)
                build_dataset(config, out, options)
        return out

    return build


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    """A fork server that no test ends."""
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="module")
def one_fork_server(fork_server: ForkServer) -> Iterator[None]:
    """Has builds, comparisons and controllers use it, as a worker uses one for all scenarios.

    Each takes most of a second of computing to start. Builds with one of their own are those of
    ``dataset_of``, and those of commands in processes of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in _STARTED_BY:
            patch.setattr(f"{module}.ForkServer", lambda: nullcontext(fork_server))
        yield
