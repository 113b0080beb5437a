"""Rolling out states of a dataset on a worker of one's own, without Ray."""

from pathlib import Path

from shared.decisions import Decision, Extend
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.messages import Rollout
from sim_workers.pool.rollout import files_of, make_rollout
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.store import StateStore

ENDLESS_S = 10_000_000
"""A horizon that takes minutes."""


def make_worker(rollout_timeout_s: float = 300, max_holders: int = 4) -> StateWorker:
    """A worker with room for a few small holders."""
    return StateWorker(WorkerLimits(rollout_timeout_s, max_holders, max_holder_memory_mb=4000))


def rollout_in(
    dataset: Path, state_id: str, tls_id: str, decision: Decision | None, horizon_s: int = 60
) -> Rollout:
    """The rollout of a decision at one signal, or of the program left alone."""
    return make_rollout(StateStore.open([dataset]).get(state_id), {tls_id: decision}, horizon_s)


def roll_out(
    worker: StateWorker,
    dataset: Path,
    state_id: str,
    *,
    decision: Decision | None = Extend(extend=False),  # noqa: B008  frozen
    horizon_s: int = 60,
    remaining_s: float = 300,
) -> Metrics | ErrorInfo:
    """The outcome of one rollout at signal c from the state's file, which is sent along."""
    rollout = rollout_in(dataset, state_id, "c", decision, horizon_s)
    from_file = rollout.model_copy(update={"source": "file"})
    return run_rollout(worker, dataset, from_file, remaining_s)


def run_rollout(
    worker: StateWorker, dataset: Path, rollout: Rollout, remaining_s: float = 300
) -> Metrics | ErrorInfo:
    """The outcome of any rollout, the files sent along."""
    state = StateStore.open([dataset]).get(rollout.state_id)
    limited = rollout.model_copy(update={"limit_s": remaining_s})
    outcomes = worker.run([limited], files_of(state, limited))
    assert outcomes is not None
    return outcomes[0].error or outcomes[0].unwrap()
