"""Which reward is asked for, and the metrics it is made of.

The formulae are in :mod:`shared.reward_formulas`.
"""

from typing import Literal, Self, get_args

from pydantic import Field, FiniteFloat, model_validator

from shared.model import WireModel

__all__ = ["FollowUp", "Metrics", "RewardName", "RewardSpec", "TermName"]

TermName = Literal["queue", "queue_gain", "wait", "pressure", "speed"]
"""The rewards that a sum may be made of."""
RewardName = Literal["queue", "queue_gain", "wait", "pressure", "speed", "sum"]
FollowUp = Literal["program", "max_pressure"]
"""Who runs the decided signals once the decision has been carried out."""

_MAX_SEEDS = 32


class RewardSpec(WireModel):
    """The reward that a request wants."""

    name: RewardName = "queue_gain"
    terms: dict[TermName, FiniteFloat] | None = Field(
        default=None, min_length=1, max_length=len(get_args(TermName))
    )
    """The weights of a ``sum``; only there, and needed there."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Length of the rollout, seconds of simulated time."""
    invalid_reward: FiniteFloat = -1.0
    """The reward of an invalid decision."""
    follow_up: FollowUp = "program"
    """Who runs the decided signals after the decision. The reference of ``queue_gain``, the program
    left alone, is not affected."""
    seeds: tuple[int, ...] | None = Field(default=None, min_length=1, max_length=_MAX_SEEDS)
    """Re-seeds every random generator at the moment of the decision, once with each of these; the
    reward is then the mean over the seeds. None continues as the simulation would have."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.name == "sum") != (self.terms is not None):
            raise ValueError('terms are required with the reward "sum" and not allowed with others')
        if self.seeds is not None:
            if len(set(self.seeds)) < len(self.seeds):
                raise ValueError("seeds contains a number twice")
            if not all(0 <= seed < 2**31 for seed in self.seeds):
                raise ValueError("seeds must be from 0 to 2147483647")
        return self


class Metrics(WireModel):
    """What was observed during one rollout, sampled after each simulated second t+1 … t+horizon.

    Where several signals are observed, their incoming lanes count together, each lane once.
    """

    queue_veh: float
    """Mean number of vehicles on incoming lanes slower than 0.1 m/s."""
    queue_veh_max: float
    """The largest such number in any second."""
    wait_s: float
    """Mean of the summed waiting time of the vehicles on incoming lanes, seconds."""
    speed_mps: float | None = None
    """Mean speed over all vehicle-seconds on incoming lanes; null if no vehicle was ever there."""
    throughput_veh: int | float
    """Vehicles that left the incoming lanes: a whole number, but for a mean over seeds."""
    pressure_veh: float
    """Mean of vehicles on incoming lanes minus vehicles on outgoing lanes."""
    network_queue_veh: float
    """Mean number of vehicles slower than 0.1 m/s on all lanes of the network."""
    series: tuple[int, ...] | None = None
    """The queue after each second, where it was asked for."""
