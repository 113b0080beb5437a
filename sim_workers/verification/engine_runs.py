"""What our own engine shows of a state, in this process: the other side of a verification."""

from typing import Literal

from shared.errors import GreenforkError, RolloutRejected
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.messages import Rollout
from sim_workers.engine.version import sumo_version
from sim_workers.pool.rollout import files_of, recorded_source
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.store import StoredState

__all__ = ["Way", "engine_worker", "roll_out"]

Way = Literal["state", "replay"]
"""How a state is brought back: from its file, or by a replay of its run."""

_LIMIT_S = 600.0
_MAX_HOLDERS = 4
_MAX_HOLDER_MEMORY_MB = 4000.0


def engine_worker() -> StateWorker:
    """A worker to roll states out on; to be closed."""
    return StateWorker(WorkerLimits(_LIMIT_S, _MAX_HOLDERS, _MAX_HOLDER_MEMORY_MB))


def roll_out(
    worker: StateWorker, state: StoredState, rollout: Rollout, way: Way
) -> Metrics | ErrorInfo:
    """The metrics of a rollout, its state brought back in the given way."""
    try:
        state = _brought_back(state, way)
        source = recorded_source(state.record)
        sent = rollout.model_copy(update={"source": source, "limit_s": _LIMIT_S})
        found = worker.run([sent]) or worker.run([sent], files_of(state, sent))
        if not found:
            raise RolloutRejected(f"state {sent.state_id} could not be restored")
        return found[0].unwrap()
    except GreenforkError as exc:
        return ErrorInfo.of(exc)


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
