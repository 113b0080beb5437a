"""A worker whose simulations are faked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sim_workers.pool import worker as worker_module
from sim_workers.pool.worker import StateWorker, WorkerLimits
from tests.unit.sim_workers.pool.fake_simulations import ForkServer, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which simulations are made up."""
    monkeypatch.setattr(ForkServer, "world", World())
    monkeypatch.setattr(worker_module, "ForkServer", ForkServer)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return ForkServer.world


@pytest.fixture
def worker(world: World) -> Iterator[StateWorker]:
    """A worker that may hold two states, or 10 MB of them."""
    worker = StateWorker(WorkerLimits(30, max_holders=2, max_holder_memory_mb=10))
    yield worker
    worker.close()
