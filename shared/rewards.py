"""Rewards: which one is asked for, and every formula.

A reward is one finite number out of a rollout's metrics, which are :mod:`shared.metrics`; higher is
better.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Literal, Self, TypeVar, get_args

from pydantic import Field, FiniteFloat, model_validator

from shared.domains.custom_metrics import CUSTOM, is_custom
from shared.domains.reward_names import AnyReward, AnyTerm, DomainMetrics, RewardName, TermName
from shared.errors import RolloutError
from shared.metrics import (
    AnyMetricName,
    AnyMetrics,
    MetricName,
    Metrics,
    NamedMetrics,
    ShownMetrics,
)
from shared.model import WireModel

__all__ = [
    "AnyMetricName",
    "AnyMetrics",
    "DomainMetrics",
    "FollowUp",
    "MetricName",
    "Metrics",
    "NamedMetrics",
    "RewardName",
    "RewardSpec",
    "ShownMetrics",
    "TermName",
    "custom",
    "delay",
    "is_traffic",
    "mean_metrics",
    "mean_reward",
    "needs_reference",
    "pressure",
    "queue",
    "queue_gain",
    "reward_of",
    "speed",
    "term_of",
    "wait",
    "weighted_sum",
]

FollowUp = Literal["program", "max_pressure", "greedy"]
"""Who runs the decided signals once the decision has been carried out."""

_MAX_SEEDS = 32
_MAX_TERMS = 16
_Name = TypeVar("_Name", bound=str)


class RewardSpec(WireModel):
    """The reward that a request wants."""

    name: AnyReward = "queue_gain"
    """Of traffic: ``queue``, ``queue_gain``, …, ``custom.<name>`` for a metric of an installed
    package; of planning: ``plan_valid``, ``plan_progress``; or a ``sum``."""
    terms: dict[AnyTerm, FiniteFloat] | None = Field(
        default=None, min_length=1, max_length=_MAX_TERMS
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


# Signs are changed by subtracting from 0.0, so that nothing is ever rewarded with -0.0.


def needs_reference(spec: RewardSpec) -> bool:
    """Whether the reward compares with the program left alone.

    >>> needs_reference(RewardSpec(name="sum", terms={"queue_gain": 1.0, "speed": 0.1}))
    True
    """
    return "queue_gain" in (spec.terms or (spec.name,))


def is_traffic(spec: RewardSpec) -> bool:
    """Whether a reward is one of traffic, and not of another domain.

    >>> is_traffic(RewardSpec()), is_traffic(RewardSpec(name="plan_valid"))
    (True, False)
    """
    names = set(spec.terms or (spec.name,)) - set(get_args(TermName))
    return all(map(is_custom, names))


def reward_of(spec: RewardSpec, metrics: Metrics, reference: Metrics | None) -> float:
    """The reward of one rollout.

    Args:
        spec: Which reward.
        metrics: The rollout under the decision.
        reference: The rollout of the program left alone: same state, signals, horizon and seed.
            Needed where :func:`needs_reference` says so, not looked at elsewhere.

    Raises:
        RolloutError: ``undefined_metric`` where there is nothing to compute it from;
            ``not_finite`` where it leaves the range of numbers.
        ValueError: A reference is needed and missing.
    """
    if spec.name != "sum":
        return _finite(spec.name, term_of(spec.name, metrics, reference))
    terms = spec.terms or {}
    values = {name: term_of(name, metrics, reference) for name in terms}
    return _finite(spec.name, weighted_sum(terms, values))


def term_of(name: str, metrics: Metrics, reference: Metrics | None) -> float:
    """One term of a reward, a :data:`TermName` or a user's own metric.

    Arguments and errors are those of :func:`reward_of`.
    """
    match name:
        case "queue":
            return queue(metrics.queue_veh)
        case "queue_gain":
            if reference is None:
                raise ValueError("the reward queue_gain needs the reference rollout")
            return queue_gain(metrics.queue_veh, reference.queue_veh)
        case "wait":
            return wait(metrics.wait_s)
        case "pressure":
            return pressure(metrics.pressure_veh)
        case "speed":
            return speed(metrics.speed_mps)
        case "delay":
            return delay(metrics.delay_veh)
        case _:
            return custom(name, metrics.custom)


def queue(queue_veh: float) -> float:
    """``-Q``, vehicles, up to 0.

    A vehicle queues below 0.1 m/s, as SUMO's ``lane.getLastStepHaltingNumber`` counts:
    https://sumo.dlr.de/docs/TraCI/Lane_Value_Retrieval.html

    Args:
        queue_veh: Mean queue after the decision, vehicles.

    >>> queue(2.5), queue(0.0)
    (-2.5, 0.0)
    """
    return 0.0 - queue_veh


def queue_gain(queue_veh: float, reference_queue_veh: float) -> float:
    """``(Q_ref - Q) / (Q_ref + Q + 1)``, without a unit, in (-1, 1).

    0 where the decision changes nothing. The 1 keeps it defined on an empty road, and differences
    of a fraction of a vehicle small.

    Args:
        queue_veh: Mean queue after the decision, vehicles.
        reference_queue_veh: Mean queue with the program left alone, vehicles.

    >>> queue_gain(2.0, 5.0)
    0.375
    """
    return (reference_queue_veh - queue_veh) / (reference_queue_veh + queue_veh + 1)


def wait(wait_s: float) -> float:
    """``-W``, seconds, up to 0.

    Summed over vehicles: it grows with the number of those that stand and with how long they have
    stood, as SUMO's ``lane.getWaitingTime`` does, which starts again when a vehicle moves.

    Args:
        wait_s: Mean over the samples of the summed waiting time on incoming lanes, seconds.

    >>> wait(31.5)
    -31.5
    """
    return 0.0 - wait_s


def pressure(pressure_veh: float) -> float:
    """``-|P|``, vehicles, up to 0: the intersection's pressure.

    Wei et al., *PressLight: Learning Max Pressure Control to Coordinate Traffic Signals in Arterial
    Network*, KDD 2019, https://doi.org/10.1145/3292500.3330949, whose reward is the same but for
    densities in place of counts.

    Args:
        pressure_veh: Mean of vehicles on incoming minus vehicles on outgoing lanes.

    >>> pressure(3.0), pressure(-3.0)
    (-3.0, -3.0)
    """
    return 0.0 - abs(pressure_veh)


def speed(speed_mps: float | None) -> float:
    """``V``, m/s, from 0.

    Args:
        speed_mps: Mean over all vehicle-seconds on incoming lanes; None where there was none.

    Raises:
        RolloutError: ``undefined_metric``: no vehicle, so no speed. Neither 0, which would be a
            jam, nor the limit, which nobody drove.

    >>> speed(6.2)
    6.2
    """
    if speed_mps is None:
        raise RolloutError(
            "speed_mps is undefined: no vehicle was on the incoming lanes in any second of the "
            "rollout",
            "undefined_metric",
        )
    return speed_mps


def delay(delay_veh: float | None) -> float:
    """``-D``, vehicles, up to about 0: the network's delay, as vehicles that stand.

    Raises:
        RolloutError: ``undefined_metric``: the outcome was recorded before there was this metric.

    >>> delay(12.5)
    -12.5
    """
    if delay_veh is None:
        raise RolloutError("delay_veh was not recorded; roll it out again", "undefined_metric")
    return 0.0 - delay_veh


def custom(name: str, values: dict[str, float] | None) -> float:
    """A user's own metric as it is: give it a negative weight in a sum if less of it is better.

    Args:
        name: Its name in rewards, ``custom.co2``.
        values: What was observed, by name without ``custom.``.

    Raises:
        RolloutError: ``undefined_metric``: it was not observed.

    >>> custom("custom.co2", {"co2": 12.5})
    12.5
    """
    value = (values or {}).get(name.removeprefix(f"{CUSTOM}."))
    if value is None:
        raise RolloutError(f"{name} was not observed in this rollout", "undefined_metric")
    return value


def weighted_sum(weights: Mapping[_Name, float], values: Mapping[_Name, float]) -> float:
    """``sum of weight * value``, in the mixed units of its terms.

    Added one by one in the order of the names, so that equal weights give equal bits however they
    are written, and under any version of Python.

    >>> weighted_sum({"queue_gain": 1.0, "pressure": 0.5}, {"queue_gain": 0.375, "pressure": -3.0})
    -1.125
    """
    return reduce(add, (weights[name] * values[name] for name in sorted(weights)), 0.0)


def mean_reward(rewards: Sequence[float]) -> tuple[float, float | None]:
    """The mean over seeds and its standard error, ``s / sqrt(n)``.

    ``s`` is the sample's standard deviation, with ``n - 1``. Both are computed exactly and rounded
    once: neither depends on the order, and the mean of equals is what they are.

    Args:
        rewards: One per seed, at least one.

    Returns:
        The mean; and the standard error, None for a single seed.

    Raises:
        RolloutError: ``not_finite``.

    >>> mean_reward([1.0, 3.0])
    (2.0, 1.0)
    >>> mean_reward([0.25])
    (0.25, None)
    """
    try:
        mean = statistics.mean(rewards)
        if len(rewards) == 1:
            return mean, None
        return mean, statistics.stdev(rewards) / math.sqrt(len(rewards))
    except OverflowError as exc:
        raise RolloutError("the rewards of the seeds are too far apart", "not_finite") from exc


def mean_metrics(runs: Sequence[Metrics]) -> Metrics:
    """Each metric's mean over seeds; one run's metrics as they are.

    ``queue_veh_max`` is the mean of the maxima. ``speed_mps`` is None where any run had no vehicle,
    and ``delay_veh`` where any was recorded without, for a mean over fewer runs would be of other
    traffic. There is no mean series.

    Args:
        runs: One per seed, at least one.
    """
    if len(runs) == 1:
        return runs[0]
    speeds = [run.speed_mps for run in runs if run.speed_mps is not None]
    delays = [run.delay_veh for run in runs if run.delay_veh is not None]
    return Metrics(
        queue_veh=statistics.mean(run.queue_veh for run in runs),
        queue_veh_max=statistics.mean(run.queue_veh_max for run in runs),
        wait_s=statistics.mean(run.wait_s for run in runs),
        speed_mps=statistics.mean(speeds) if len(speeds) == len(runs) else None,
        throughput_veh=float(statistics.mean(run.throughput_veh for run in runs)),
        pressure_veh=statistics.mean(run.pressure_veh for run in runs),
        network_queue_veh=statistics.mean(run.network_queue_veh for run in runs),
        delay_veh=statistics.mean(delays) if len(delays) == len(runs) else None,
        custom=_mean_custom(runs),
    )


def _mean_custom(runs: Sequence[Metrics]) -> dict[str, float] | None:
    """Each of the users' own metrics that all runs have."""
    values = [run.custom for run in runs if run.custom is not None]
    if len(values) < len(runs):
        return None
    names = sorted(set.intersection(*map(set, values)))
    return {name: float(statistics.mean(one[name] for one in values)) for name in names}


def _finite(name: str, reward: float) -> float:
    if not math.isfinite(reward):
        raise RolloutError(f"the reward {name} is {reward}", "not_finite")
    return reward
