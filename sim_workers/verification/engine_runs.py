"""What our own engine shows of a state, in this process: the other side of a verification."""

from types import TracebackType
from typing import Literal, Self

from shared.errors import ErrorInfo, GreenforkError, RolloutRejected
from shared.rewards import Metrics
from sim_workers.engine.version import sumo_version
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import Source
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.pool.worker_inputs import bundle_of, ref_of, worker_rollout
from sim_workers.states.store import StoredState

__all__ = ["EngineRuns", "Way"]

Way = Literal["state", "replay"]
"""How a state is brought back: from its file, or by a replay of its run."""

_LIMIT_S = 600.0
_MAX_HOLDERS = 4
_MAX_HOLDER_MEMORY_MB = 4000.0


class EngineRuns:
    """Rolls states out on workers of its own. Use as a context."""

    def __init__(self) -> None:
        self._workers: dict[Way, StateWorker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers.values():
            worker.close()

    def roll_out(self, state: StoredState, task: RolloutTask, way: Way) -> Metrics | ErrorInfo:
        """The metrics of a task, its state brought back in the given way."""
        try:
            return self._roll_out(_brought_back(state, way), task, way)
        except GreenforkError as exc:
            return ErrorInfo.of(exc)

    def _roll_out(self, state: StoredState, task: RolloutTask, way: Way) -> Metrics | ErrorInfo:
        worker = self._workers.get(way)
        if worker is None:
            limits = WorkerLimits(_LIMIT_S, _MAX_HOLDERS, _MAX_HOLDER_MEMORY_MB)
            worker = self._workers[way] = StateWorker(limits)
        ref = ref_of(state, _source(state))
        rollouts = [worker_rollout(state, task, _LIMIT_S)]
        found = worker.run(ref, rollouts, None) or worker.run(ref, rollouts, bundle_of(state, ref))
        if not found:
            raise RolloutRejected(f"state {task.state_id} could not be restored")
        return found[0].result


def _source(state: StoredState) -> Source:
    """What the record names, whatever was proven."""
    if state.record.restore != "replay":
        return "file"
    return "begin" if state.record.anchor is None else "anchor"


def _brought_back(state: StoredState, way: Way) -> StoredState:
    """The state, to be restored so; an unverified one has no anchor to be replayed from.

    Raises:
        RolloutRejected: ``sumo_of_other_version``: another libsumo is installed here.
    """
    version = state.manifest.simulator.version
    if version != sumo_version():
        raise RolloutRejected(
            f"the dataset was made by SUMO {version}, libsumo is {sumo_version()}",
            "sumo_of_other_version",
        )
    if state.record.restore == way:
        return state
    record = state.record.model_copy(update={"restore": way, "anchor": None})
    return StoredState(record, state.manifest, state.layout, state.siblings)
