"""What a rollout starts from, so that it is exact: a state's file, its anchor, or its run's begin.

A file or an anchor is used for what was compared when the state was saved: every legal decision of
one kind at its decided signals, and all signals left alone, over so many seconds. For anything
else, longer horizons, other kinds, joint decisions, follow-up policies, the run is replayed from
its begin, which is exact whatever is decided afterwards.
"""

import math
from typing import Literal

from shared.decisions import Decision, canonical
from shared.errors import RolloutRejected
from shared.legality import legal_decisions
from shared.wire.states import Fidelity, Restore
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.states.store import StoredState

__all__ = ["Source", "check_end", "fidelity_of", "restore_of", "source_of"]

Source = Literal["file", "anchor", "begin"]


def source_of(state: StoredState, task: RolloutTask) -> Source:
    """What the rollout of a task starts from."""
    record = state.record
    if task.reseed is not None or record.restore == "unverified":
        return "file"
    if not _is_proven(state, task):
        return "begin"
    if record.restore == "state":
        return "file"
    return "begin" if record.anchor is None else "anchor"


def restore_of(state: StoredState, task: RolloutTask) -> Restore:
    """What may be said of the task's metrics.

    With another seed there is no uninterrupted simulation to be equal to; what is continued then is
    the file, which for a replayed state is not quite the moment that it was saved at.
    """
    restore = state.record.restore
    if restore == "unverified" or (restore == "replay" and task.reseed is not None):
        return "unverified"
    return "state" if source_of(state, task) == "file" else "replay"


def fidelity_of(state: StoredState, task: RolloutTask) -> Fidelity:
    """Whether the task's metrics are those of the user's own simulation."""
    if state.record.restore == "unverified" or task.reseed is not None:
        return "unchecked"
    run = state.simulation()
    if run.fidelity != "own":
        return run.fidelity
    end_s = state.record.time_s + task.horizon_s
    return "own" if run.compared_to_s is not None and end_s <= run.compared_to_s else "unchecked"


def check_end(state: StoredState, horizon_s: int) -> None:
    """Passes where the configuration goes on for so long after a state.

    Raises:
        RolloutRejected: ``beyond_end``: nobody can say what would be true then.
    """
    end_s = state.manifest.scenario.end_s
    if end_s is not None and state.record.time_s + horizon_s > end_s:
        raise RolloutRejected(
            f"the scenario's configuration ends at {end_s:g} s, and {horizon_s} s after state "
            f"{state.record.state_id} is past that end: request a horizon of at most "
            f"{max(0, math.floor(end_s - state.record.time_s))} s",
            "beyond_end",
        )


def _is_proven(state: StoredState, task: RolloutTask) -> bool:
    if task.horizon_s > state.record.verified_s or len(task.decisions) > 1:
        return False
    if not task.decisions:
        return True
    (tls_id, decision), *_ = task.decisions
    return task.follow_up == "program" and _was_compared(state, tls_id, decision)


def _was_compared(state: StoredState, tls_id: str, decision: Decision) -> bool:
    kind = state.record.proven.get(tls_id)
    if kind != decision.kind:
        return False
    signal, shown = state.signal(tls_id), state.record.signals[tls_id]
    compared = legal_decisions(kind, signal, shown, state.manifest.build.extend_s)
    return canonical(decision) in map(canonical, compared)
