"""Which reward is asked for, and the metrics it is made of. The formulae are in the workers."""

from typing import Literal

from pydantic import Field

from shared.model import WireModel

__all__ = ["Metrics", "RewardName", "RewardSpec"]

RewardName = Literal["queue", "queue_gain"]


class RewardSpec(WireModel):
    """The reward that a request wants."""

    name: RewardName = "queue_gain"
    """``queue`` is minus the mean queue; ``queue_gain`` compares it with the program left alone."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Length of the rollout, seconds of simulated time."""
    invalid_reward: float = -1.0
    """The reward of an invalid decision."""


class Metrics(WireModel):
    """What was observed during one rollout, sampled after each simulated second t+1 … t+horizon."""

    queue_veh: float
    """Mean number of vehicles on incoming lanes slower than 0.1 m/s."""
    queue_veh_max: float
    """The largest such number in any second."""
    wait_s: float
    """Mean of the summed waiting time of the vehicles on incoming lanes, seconds."""
    speed_mps: float | None = None
    """Mean speed over all vehicle-seconds on incoming lanes; null if no vehicle was ever there."""
    throughput_veh: int
    """Vehicles that left the incoming lanes."""
    pressure_veh: float
    """Mean of vehicles on incoming lanes minus vehicles on outgoing lanes."""
    network_queue_veh: float
    """Mean number of vehicles slower than 0.1 m/s on all lanes of the network."""
    series: tuple[int, ...] | None = None
    """The queue after each second, where it was asked for."""
