"""Rewards: one finite number out of a rollout's metrics. Higher is better."""

from shared.rewards import Metrics, RewardSpec

__all__ = ["needs_reference", "queue_gain", "reward_of"]


def needs_reference(spec: RewardSpec) -> bool:
    """Whether the reward compares with the program left alone."""
    return spec.name == "queue_gain"


def reward_of(spec: RewardSpec, metrics: Metrics, reference: Metrics | None) -> float:
    """The reward of a rollout.

    Args:
        spec: Which reward.
        metrics: The rollout under the decision.
        reference: The rollout of the program left alone, same state, signal and horizon. Needed
            where :func:`needs_reference` says so.

    Raises:
        ValueError: A reference is needed and missing.
    """
    if spec.name == "queue":
        return -metrics.queue_veh
    if reference is None:
        raise ValueError(f"reward {spec.name} needs the reference rollout")
    return queue_gain(metrics.queue_veh, reference.queue_veh)


def queue_gain(queue_veh: float, reference_queue_veh: float) -> float:
    """``(Q_ref - Q) / (Q_ref + Q + 1)``, in (-1, 1); 0 where the decision changes nothing.

    Args:
        queue_veh: Mean queue after the decision, vehicles.
        reference_queue_veh: Mean queue with the program left alone, vehicles.

    >>> queue_gain(2.0, 5.0)
    0.375
    """
    return (reference_queue_veh - queue_veh) / (reference_queue_veh + queue_veh + 1)
