"""What a worker is sent: which simulation a task is about, the files behind it, the rollout."""

from shared.decisions import Decision
from sim_workers.engine.messages import SignalDecision
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import Source
from sim_workers.pool.worker import Bundle, Landmark, StateRef, WorkerRollout
from sim_workers.states.store import StoredState

__all__ = ["bundle_of", "ref_of", "worker_rollout"]


def ref_of(state: StoredState, source: Source, reseed: int | None = None) -> StateRef:
    """The simulation that continues a state.

    Args:
        state: The state.
        source: What it is opened from.
        reseed: Continue the file under this seed instead of the run's own randomness.
    """
    record = state.record
    return StateRef(
        state_id=record.state_id,
        scenario_id=record.scenario_id,
        seed=record.seed,
        scale=record.scale,
        time_s=record.time_s,
        run=state.run_key(),
        source=source,
        reseed=reseed,
        digest=None if source == "file" else record.digest,
    )


def bundle_of(state: StoredState, ref: StateRef, with_scenario: bool = True) -> Bundle:
    """The files behind a simulation, read from disk and checked against their digests.

    Raises:
        StateFileError: A file was changed, or another version of SUMO wrote it.
        DatasetError: A file cannot be read.
    """
    scenario = state.read_scenario() if with_scenario else None
    landmark = _landmark(state)
    if ref.source == "file":
        return Bundle(state.read(), state.record.read, (), scenario, landmark)
    anchor = state.anchor() if ref.source == "anchor" else None
    if anchor is None:
        return Bundle(None, None, state.actions(), scenario, landmark)
    actions = state.actions(anchor.record.time_s)
    return Bundle(anchor.read(), anchor.record.read, actions, scenario, landmark)


def _landmark(state: StoredState) -> Landmark | None:
    """What a simulation of its run must show, where that depends on how memory is ordered."""
    found = state.simulation().sensitivity
    if found is None:
        return None
    return Landmark(found.time_s, found.digest, state.actions(to_s=found.time_s))


def worker_rollout(
    state: StoredState, task: RolloutTask, remaining_s: float, ticket: int = 0, request_id: str = ""
) -> WorkerRollout:
    """A task in a worker's terms.

    Args:
        state: The task's state.
        task: What to roll out.
        remaining_s: Wall-clock seconds until the deadline.
        ticket: By which it can be cancelled.
        request_id: The request that asked first.
    """
    return WorkerRollout(
        signal_decisions=tuple(
            _signal_decision(state, tls_id, decision) for tls_id, decision in task.decisions
        ),
        observe=task.observe,
        horizon_s=task.horizon_s,
        follow_up=task.follow_up,
        remaining_s=remaining_s,
        ticket=ticket,
        request_id=request_id,
    )


def _signal_decision(state: StoredState, tls_id: str, decision: Decision) -> SignalDecision:
    signal = state.signal(tls_id)
    return SignalDecision(
        tls_id=tls_id,
        decision=decision,
        elapsed_s=state.record.signals[tls_id].elapsed_s,
        min_green_s=signal.min_green_s,
        max_green_s=signal.max_green_s,
    )
