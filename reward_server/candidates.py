"""What an item of a request asks for: which state, which decision, which rollouts."""

import hashlib
import json
from dataclasses import dataclass

from shared.completions import parse_completion
from shared.decisions import Decision
from shared.errors import InvalidDecision, UnknownSignal
from shared.legality import check_legality
from shared.rewards import RewardSpec
from shared.scoring import ScoreItem
from sim_workers.rewards import needs_reference
from sim_workers.rollouts import RolloutTask
from sim_workers.store import StateStore, StoredState

__all__ = ["Candidate", "Work", "outcome_key", "read_item", "work_of"]


@dataclass(frozen=True)
class Candidate:
    """An item whose state and signal are known."""

    item: ScoreItem
    state: StoredState
    decision: Decision | None
    """None where none could be read."""
    error: InvalidDecision | None
    """Why the decision may not be carried out."""


@dataclass(frozen=True)
class Work:
    """The rollouts behind one reward: keys and tasks."""

    own: tuple[str, RolloutTask]
    reference: tuple[str, RolloutTask] | None
    """The program left alone, where the reward compares with it."""

    def tasks(self) -> dict[str, RolloutTask]:
        """Tasks by key."""
        return dict(pair for pair in (self.own, self.reference) if pair is not None)


def read_item(item: ScoreItem, store: StateStore) -> Candidate:
    """Finds the state and the signal, and reads and checks the decision.

    Raises:
        UnknownState: No such state is served.
        UnknownSignal: The state has no such signal.
    """
    state = store.get(item.state_id)
    signal = state.signal(item.tls_id)
    if item.tls_id not in state.record.signals:
        raise UnknownSignal(f"state {item.state_id} says nothing of signal {item.tls_id!r}")
    decision: Decision | None = None
    try:
        decision = _decision(item)
        check_legality(decision, signal, state.record.signals[item.tls_id])
    except InvalidDecision as exc:
        return Candidate(item, state, decision, exc)
    return Candidate(item, state, decision, None)


def work_of(candidate: Candidate, reward: RewardSpec, sumo_version: str) -> Work:
    """The rollouts that a legal candidate's reward is made of."""

    def piece(decision: Decision | None) -> tuple[str, RolloutTask]:
        item = candidate.item
        task = RolloutTask(item.state_id, item.tls_id, decision, reward.horizon_s)
        return outcome_key(task, candidate.state, sumo_version), task

    return Work(piece(candidate.decision), piece(None) if needs_reference(reward) else None)


def outcome_key(task: RolloutTask, state: StoredState, sumo_version: str) -> str:
    """The key of an outcome in the ledger: 64 hex digits.

    A state's id is the digest of its file, and neither the network, the demand to come nor the
    green limits are in that file. A ledger outlives the datasets, so its keys name them too.
    """
    signal = state.manifest.signals[task.tls_id]
    identity = [
        task.key(sumo_version),
        state.record.scenario_id,
        signal.min_green_s,
        signal.max_green_s,
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _decision(item: ScoreItem) -> Decision:
    if item.completion is None or item.decision_kind is None:
        assert item.decision is not None, "the schema asks for one of the two"  # noqa: S101
        return item.decision
    return parse_completion(item.completion, item.decision_kind)
