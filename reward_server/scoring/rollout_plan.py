"""From an item to the rollouts needed for its reward, and from their outcomes to the result."""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.decisions import Decision, NextPhase
from shared.domains.custom_metrics import CustomMetric
from shared.errors import InvalidDecision, InvalidRequest, RolloutError, UnknownSignal
from shared.language.completions import parse_completion
from shared.legality import check_legality
from shared.rewards import (
    RewardSpec,
    is_traffic,
    mean_metrics,
    mean_reward,
    needs_reference,
    reward_of,
)
from shared.wire.episode_control import is_yellow
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreItem, ScoreResult, SeedReward
from shared.wire.states import Fidelity, Restore
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.pool.rollout import fidelity_of, make_rollout, restore_of, rollout_digest
from sim_workers.states.store import StateStore, StoredState

__all__ = [
    "RolloutPlan",
    "check_kind",
    "check_reward",
    "check_signal",
    "needs_delay",
    "outcome_key",
    "plan_item",
    "plan_rollouts",
]


@dataclass(frozen=True)
class RolloutPlan:
    """The rollouts needed for one reward; none if the decisions may not be carried out."""

    reward: RewardSpec
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    """The rollouts, by the keys of their outcomes."""
    pairs: tuple[tuple[str, str | None], ...] = ()
    """For each seed, the key of the decisions' rollout and, if the reward compares with it, that of
    the reference: the program left alone."""
    restore: Restore | None = None
    """How the state is restored; None if nothing is rolled out."""
    fidelity: Fidelity | None = None
    """What is simulated; None if nothing is rolled out."""
    decision: Decision | None = None
    """The decision as understood, if there is only one."""
    decisions: dict[str, Decision] | None = None
    """The decisions by signal, if the item had several."""
    error: ErrorInfo | None = None
    """Why the decisions may not be carried out."""

    def result(
        self,
        outcomes: Mapping[str, RolloutOutcome],
        with_series: bool,
        names: Collection[str] | None,
    ) -> ScoreResult:
        """The result of the item, whoever asked for it.

        It is never a mean over fewer seeds than were requested.

        Args:
            outcomes: Outcomes by key, at least those of the rollouts.
            with_series: Whether to include the queue after each second in the metrics.
            names: The metrics to show; None for all. The reward may use any of them.
        """
        if self.error is not None:
            return self._without_reward(self.error)
        found = [outcomes[key] for key in self.rollouts]
        failure = next((outcome.error for outcome in found if outcome.error), None)
        if failure is not None:
            return self._without_reward(failure)
        own = [outcomes[key].unwrap() for key, _ in self.pairs]
        references = [None if key is None else outcomes[key].unwrap() for _, key in self.pairs]
        try:
            pairs = zip(own, references, strict=True)
            rewards = [reward_of(self.reward, metrics, other) for metrics, other in pairs]
            mean, stderr = mean_reward(rewards)
        except RolloutError as exc:
            return self._without_reward(ErrorInfo.of(exc))
        return ScoreResult(
            id=None,
            status="scored",
            reward=mean,
            reward_stderr=stderr,
            seeds=self._by_seed(rewards),
            decision=self.decision,
            decisions=self.decisions,
            metrics=mean_metrics(own).shown(names, with_series),
            cached=all(outcome.is_recorded for outcome in found),
            restore=self.restore,
            fidelity=self.fidelity,
        )

    def _without_reward(self, error: ErrorInfo) -> ScoreResult:
        """The result of an item that is invalid or could not be computed."""
        is_invalid = error is self.error
        return ScoreResult(
            id=None,
            status="invalid" if is_invalid else "failed",
            reward=self.reward.invalid_reward if is_invalid else None,
            decision=self.decision,
            decisions=self.decisions,
            restore=self.restore,
            fidelity=self.fidelity,
            error=error,
        )

    def _by_seed(self, rewards: list[float]) -> tuple[SeedReward, ...] | None:
        if self.reward.seeds is None:
            return None
        pairs = zip(self.reward.seeds, rewards, strict=True)
        return tuple(SeedReward(seed=seed, reward=reward) for seed, reward in pairs)


def plan_item(
    item: ScoreItem,
    reward: RewardSpec,
    store: StateStore,
    sumo_version: str,
    custom: Sequence[CustomMetric] = (),
) -> RolloutPlan:
    """Finds the state and the signals of an item, and reads and checks its decisions.

    Arguments beside the item are those of :func:`plan_rollouts`.

    Raises:
        UnknownState: No such state is served.
        UnknownSignal: The state has no such signal.
    """
    state, tls_ids = store.get(item.state_id), item.tls_ids()
    for tls_id in tls_ids:
        check_signal(state, tls_id)
    decisions: Mapping[str, Decision] = {}
    error = None
    try:
        decisions = _decisions(item)
        for tls_id in tls_ids:
            check_kind(decisions[tls_id], state)
            check_legality(decisions[tls_id], state.signal(tls_id), state.record.signals[tls_id])
    except InvalidDecision as exc:
        error = ErrorInfo.of(exc)
    decision = decisions.get(item.tls_id) if item.tls_id is not None else None
    if error is not None:
        return RolloutPlan(reward, decision=decision, decisions=item.decisions, error=error)
    plan = plan_rollouts(state, decisions, reward, sumo_version, custom)
    return dataclasses.replace(plan, decision=decision, decisions=item.decisions)


def plan_rollouts(
    state: StoredState,
    decisions: Mapping[str, Decision | None],
    reward: RewardSpec,
    sumo_version: str,
    custom: Sequence[CustomMetric] = (),
) -> RolloutPlan:
    """The rollouts needed for the reward of decisions.

    Args:
        state: The state in which they are made.
        decisions: Decisions by observed signal; None leaves a signal alone.
        reward: The reward, with its seeds.
        sumo_version: Version of the simulator that computes the outcomes.
        custom: Users' own metrics to sample; not in the reference, which needs none of them.
    """
    rollouts: dict[str, Rollout] = {}

    def add(
        decided: Mapping[str, Decision | None],
        seed: int | None,
        sampled: Sequence[CustomMetric] = (),
    ) -> str:
        rollout = make_rollout(state, decided, reward.horizon_s, reward.follow_up, seed, sampled)
        key = outcome_key(rollout, state, sumo_version)
        rollouts[key] = rollout
        return key

    alone = dict.fromkeys(decisions) if needs_reference(reward) else None
    pairs = tuple(
        (add(decisions, seed, custom), None if alone is None else add(alone, seed))
        for seed in reward.seeds or (None,)
    )
    first = rollouts[pairs[0][0]]
    return RolloutPlan(reward, rollouts, pairs, restore_of(state, first), fidelity_of(state, first))


def needs_delay(reward: RewardSpec, names: Collection[str] | None) -> bool:
    """Whether an outcome recorded without ``delay_veh`` is not enough for a request.

    A request that names no metrics, with a reward that does not need ``delay_veh``, gets null for
    it, so that outcomes recorded since version 0.1 remain valid answers.
    """
    return "delay" in (reward.terms or (reward.name,)) or "delay_veh" in (names or ())


def check_reward(reward: RewardSpec) -> None:
    """Checks that a reward is one of traffic.

    Raises:
        InvalidRequest: ``unknown_reward``: it belongs to another domain.
    """
    if not is_traffic(reward):
        raise InvalidRequest(
            f"reward.name: {reward.name} is not a reward of traffic, which an item without domain "
            "is scored in; send items of several domains in requests of their own",
            "unknown_reward",
        )


def check_signal(state: StoredState, tls_id: str) -> None:
    """Checks that decisions at a signal can be judged in a state.

    Raises:
        UnknownSignal: The network has no such signal, or the state has no record of it.
    """
    state.signal(tls_id)
    if tls_id not in state.record.signals:
        raise UnknownSignal(f"state {state.record.state_id} has no record of signal {tls_id!r}")


def outcome_key(rollout: Rollout, state: StoredState, sumo_version: str) -> str:
    """The key of an outcome in the ledger: 64 hex digits.

    A state's id is the digest of its file. That file does not contain the network, the demand still
    to come, the green limits, or whether the rollout starts from the file or from a replay. A
    ledger outlives the datasets, so its keys include these, too.
    """
    record, signals, source = state.record, state.manifest.signals, rollout.source
    identity: list[object] = [
        rollout_digest(rollout, sumo_version),
        [record.scenario_id, record.seed, record.scale],
        [source, record.anchor if source == "anchor" else None],
        [[tls, signals[tls].min_green_s, signals[tls].max_green_s] for tls in rollout.observe],
    ]
    if record.control is not None:
        identity.append(record.control.model_dump())
    if state.simulation().fidelity != "bundle":  # ledgers of version 0.1 hold only bundles
        identity.append(fidelity_of(state, rollout))
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def check_kind(decision: Decision, state: StoredState) -> None:
    """Checks that a state accepts decisions of a kind.

    Raises:
        InvalidDecision: ``wrong_kind``: no program runs there, so only phases can be chosen.
    """
    if is_yellow(state.record.control) and not isinstance(decision, NextPhase):
        raise InvalidDecision(
            f"state {state.record.state_id} was saved from an episode with a yellow control, where "
            f"no program runs: it accepts decisions of the kind phase, not {decision.kind}",
            "wrong_kind",
        )


def _decisions(item: ScoreItem) -> Mapping[str, Decision]:
    if item.decisions is not None:
        return item.decisions
    assert item.tls_id is not None, "the schema asks for it"  # noqa: S101
    if item.completion is None or item.decision_kind is None:
        assert item.decision is not None, "the schema asks for one of the three"  # noqa: S101
        return {item.tls_id: item.decision}
    return {item.tls_id: parse_completion(item.completion, item.decision_kind)}
