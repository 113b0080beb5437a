"""What an item of a request asks for: which state, which decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.decisions import Decision
from shared.errors import InvalidDecision, UnknownSignal
from shared.language.completions import parse_completion
from shared.legality import check_legality
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem
from shared.wire.states import Fidelity, Restore
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import fidelity_of, restore_of
from sim_workers.states.store import StateStore, StoredState

__all__ = ["Candidate", "check_signal", "read_item"]


@dataclass(frozen=True)
class Candidate:
    """An item whose state and signals are known."""

    item: ScoreItem
    state: StoredState
    decisions: Mapping[str, Decision]
    """By signal; empty where none could be read."""
    error: InvalidDecision | None = None
    """Why they may not be carried out."""

    @property
    def decision(self) -> Decision | None:
        """The one decision of an item that is not of several signals."""
        return self.decisions.get(self.item.tls_id) if self.item.tls_id is not None else None

    def restore(self, reward: RewardSpec) -> Restore | None:
        """How the state is brought back; None where there is nothing to roll out."""
        task = self._first_task(reward)
        return None if task is None else restore_of(self.state, task)

    def fidelity(self, reward: RewardSpec) -> Fidelity | None:
        """What is simulated; None where there is nothing to roll out."""
        task = self._first_task(reward)
        return None if task is None else fidelity_of(self.state, task)

    def _first_task(self, reward: RewardSpec) -> RolloutTask | None:
        if self.error is not None:
            return None
        task = self.task(reward)
        return task if reward.seeds is None else replace(task, reseed=reward.seeds[0])

    def task(self, reward: RewardSpec) -> RolloutTask:
        """The rollout of a legal candidate."""
        return RolloutTask(
            state_id=self.item.state_id,
            observe=self.item.tls_ids(),
            decisions=tuple((tls_id, self.decisions[tls_id]) for tls_id in self.item.tls_ids()),
            horizon_s=reward.horizon_s,
            follow_up=reward.follow_up,
        )


def read_item(item: ScoreItem, store: StateStore) -> Candidate:
    """Finds the state and the signals, and reads and checks the decisions.

    Raises:
        UnknownState: No such state is served.
        UnknownSignal: The state has no such signal.
    """
    state = store.get(item.state_id)
    for tls_id in item.tls_ids():
        check_signal(state, tls_id)
    decisions: Mapping[str, Decision] = {}
    try:
        decisions = _decisions(item)
        for tls_id in item.tls_ids():
            check_legality(decisions[tls_id], state.signal(tls_id), state.record.signals[tls_id])
    except InvalidDecision as exc:
        return Candidate(item, state, decisions, exc)
    return Candidate(item, state, decisions)


def check_signal(state: StoredState, tls_id: str) -> None:
    """Returns if decisions at a signal can be judged in a state.

    Raises:
        UnknownSignal: The network has no such signal, or the state says nothing of it.
    """
    state.signal(tls_id)
    if tls_id not in state.record.signals:
        raise UnknownSignal(f"state {state.record.state_id} has no record of signal {tls_id!r}")


def _decisions(item: ScoreItem) -> Mapping[str, Decision]:
    if item.decisions is not None:
        return item.decisions
    assert item.tls_id is not None, "the schema asks for it"  # noqa: S101
    if item.completion is None or item.decision_kind is None:
        assert item.decision is not None, "the schema asks for one of the three"  # noqa: S101
        return {item.tls_id: item.decision}
    return {item.tls_id: parse_completion(item.completion, item.decision_kind)}
