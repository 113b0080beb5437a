"""Rolling out states of a dataset on a worker of one's own, without Ray."""

from pathlib import Path

from shared.errors import ErrorInfo
from shared.rewards import Metrics
from sim_workers.store import StateStore, StoredState
from sim_workers.worker import Bundle, StateRef, StateWorker, WorkerLimits, WorkerRollout

ENDLESS_S = 10_000_000
"""A horizon that takes minutes."""


def make_worker(rollout_timeout_s: float = 300, max_holders: int = 4) -> StateWorker:
    """A worker with room for a few small holders."""
    return StateWorker(WorkerLimits(rollout_timeout_s, max_holders, max_holder_memory_mb=4000))


def roll_out(
    worker: StateWorker,
    dataset: Path,
    state_id: str,
    *,
    tls_id: str = "c",
    phase_remaining_s: float | None = 0,
    horizon_s: int = 60,
    remaining_s: float = 300,
) -> Metrics | ErrorInfo:
    """The outcome of one rollout, the files sent along."""
    state = StateStore.open([dataset]).get(state_id)
    rollout = WorkerRollout(tls_id, phase_remaining_s, horizon_s, remaining_s)
    outcomes = worker.run(ref_of(state), [rollout], bundle_of(state))
    assert outcomes is not None
    return outcomes[0]


def ref_of(state: StoredState) -> StateRef:
    """How a worker is told which state is meant."""
    record = state.record
    return StateRef(record.state_id, record.scenario_id, record.seed)


def bundle_of(state: StoredState) -> Bundle:
    """The files behind a state."""
    scenario = {path.name: path.read_bytes() for path in state.layout.scenario.iterdir()}
    return Bundle(state.read(), scenario)
