"""Rolling out states of a dataset on a worker of one's own, without Ray."""

from pathlib import Path

from shared.decisions import Decision, Extend
from shared.errors import ErrorInfo
from shared.rewards import Metrics
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import Source, source_of
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.pool.worker_inputs import bundle_of, ref_of, worker_rollout
from sim_workers.states.store import StateStore

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
    decision: Decision | None = Extend(extend=False),  # noqa: B008  frozen
    horizon_s: int = 60,
    remaining_s: float = 300,
) -> Metrics | ErrorInfo:
    """The outcome of one rollout at signal c from the state's file, which is sent along."""
    task = RolloutTask.of(state_id, "c", decision, horizon_s)
    return run_task(worker, dataset, task, remaining_s, "file")


def run_task(
    worker: StateWorker,
    dataset: Path,
    task: RolloutTask,
    remaining_s: float = 300,
    source: Source | None = None,
) -> Metrics | ErrorInfo:
    """The outcome of any task, the files sent along; by default from where it is exact."""
    state = StateStore.open([dataset]).get(task.state_id)
    ref = ref_of(state, source or source_of(state, task), task.reseed)
    rollouts = [worker_rollout(state, task, remaining_s)]
    outcomes = worker.run(ref, rollouts, bundle_of(state, ref))
    assert outcomes is not None
    return outcomes[0].result
