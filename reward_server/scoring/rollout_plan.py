"""The rollouts that a reward is made of, and the keys under which their outcomes are remembered."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass

from shared.reward_formulas import needs_reference
from shared.rewards import RewardSpec
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import fidelity_of, source_of
from sim_workers.states.store import StoredState

__all__ = ["KeyedTask", "RolloutPlan", "SeedPlan", "outcome_key", "plan_rollouts", "reference_of"]


@dataclass(frozen=True)
class KeyedTask:
    """A rollout and the key of its outcome."""

    key: str
    task: RolloutTask


@dataclass(frozen=True)
class SeedPlan:
    """What the reward under one seed is made of."""

    seed: int | None
    """None: the simulation's randomness goes on as it would have."""
    own: KeyedTask
    reference: KeyedTask | None
    """The program left alone, where the reward compares with it."""

    def chunks(self) -> tuple[KeyedTask, ...]:
        """The rollouts."""
        return (self.own,) if self.reference is None else (self.own, self.reference)


@dataclass(frozen=True)
class RolloutPlan:
    """What one reward is made of: something for every seed."""

    seeds: tuple[SeedPlan, ...]

    def tasks(self) -> dict[str, RolloutTask]:
        """Tasks by key."""
        return {chunk.key: chunk.task for one in self.seeds for chunk in one.chunks()}


def plan_rollouts(
    decided: RolloutTask, state: StoredState, reward: RewardSpec, sumo_version: str
) -> RolloutPlan:
    """The rollouts behind the reward of decisions.

    Args:
        decided: The decisions' rollout, without a seed.
        state: The state it starts from.
        reward: Which reward, and under which seeds.
        sumo_version: Version of the simulator that computes the outcomes.
    """

    def keyed(task: RolloutTask, seed: int | None) -> KeyedTask:
        seeded = dataclasses.replace(task, reseed=seed)
        return KeyedTask(outcome_key(seeded, state, sumo_version), seeded)

    reference = reference_of(decided) if needs_reference(reward) else None
    return RolloutPlan(
        tuple(
            SeedPlan(seed, keyed(decided, seed), keyed(reference, seed) if reference else None)
            for seed in reward.seeds or (None,)
        )
    )


def reference_of(task: RolloutTask) -> RolloutTask:
    """The same rollout with every program left alone, whoever follows the decision up."""
    return dataclasses.replace(task, decisions=(), follow_up="program")


def outcome_key(task: RolloutTask, state: StoredState, sumo_version: str) -> str:
    """The key of an outcome in the ledger: 64 hex digits.

    A state's id is the digest of its file. Neither the network, nor the demand to come, nor the
    green limits are in that file, nor whether the rollout starts from it or from a replay. A
    ledger outlives the datasets, so its keys name them too.
    """
    record, signals = state.record, state.manifest.signals
    source = source_of(state, task)
    tls_ids = sorted({*task.observe, *(tls_id for tls_id, _ in task.decisions)})
    fidelity = fidelity_of(state, task)
    identity: list[object] = [
        task.key(sumo_version),
        [record.scenario_id, record.seed, record.scale],
        [source, record.anchor if source == "anchor" else None],
        [[tls, signals[tls].min_green_s, signals[tls].max_green_s] for tls in tls_ids],
    ]
    if fidelity != "bundle":  # which is all that ledgers of version 0.1 hold
        identity.append(fidelity)
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
