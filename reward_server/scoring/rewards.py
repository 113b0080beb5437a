"""What outcomes are worth: rewards out of the rollouts that they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from reward_server.scoring.rollout_plan import KeyedTask, RolloutPlan, SeedPlan
from reward_server.scoring.single_flight import RolloutOutcome
from shared.errors import GreenforkError, RolloutError
from shared.reward_formulas import mean_metrics, mean_reward, reward_of
from shared.rewards import Metrics, RewardSpec
from shared.wire.scoring import SeedReward

__all__ = ["ComputedReward", "compute_reward"]


@dataclass(frozen=True)
class ComputedReward:
    """A reward and what it was made of."""

    reward: float
    stderr: float | None
    """Standard error of the mean over two and more seeds."""
    seeds: tuple[SeedReward, ...] | None
    """None where the reward has none."""
    metrics: Metrics
    """The means over the seeds; the series only where there are not several."""
    is_cached: bool
    """Whether every rollout was on record before."""

    def shown_metrics(self, with_series: bool) -> Metrics:
        """The metrics, without the series unless it was asked for."""
        return self.metrics if with_series else self.metrics.model_copy(update={"series": None})


def compute_reward(
    work: RolloutPlan, reward: RewardSpec, outcomes: Mapping[str, RolloutOutcome]
) -> ComputedReward | GreenforkError:
    """The reward that outcomes make, or why they make none.

    There is never a mean over fewer seeds than were asked for. Errors are values here: one outcome
    may be behind many items, and raising it for each would grow its traceback.

    Args:
        work: What the reward is made of.
        reward: Which reward.
        outcomes: By key, at least those of the work.
    """
    found = [outcomes[key] for key in work.tasks()]
    failure = next((outcome.error for outcome in found if outcome.error), None)
    if failure is not None:
        return failure
    try:
        rewards = [_reward_under(one, reward, outcomes) for one in work.seeds]
        mean, stderr = mean_reward(rewards)
    except RolloutError as exc:
        return exc
    return ComputedReward(
        reward=mean,
        stderr=stderr,
        seeds=_by_seed(reward, rewards),
        metrics=mean_metrics([_metrics(one.own, outcomes) for one in work.seeds]),
        is_cached=all(outcome.is_recorded for outcome in found),
    )


def _reward_under(
    one: SeedPlan, reward: RewardSpec, outcomes: Mapping[str, RolloutOutcome]
) -> float:
    reference = None if one.reference is None else _metrics(one.reference, outcomes)
    return reward_of(reward, _metrics(one.own, outcomes), reference)


def _metrics(chunk: KeyedTask, outcomes: Mapping[str, RolloutOutcome]) -> Metrics:
    metrics = outcomes[chunk.key].metrics
    assert metrics is not None, "an outcome has metrics or an error"  # noqa: S101
    return metrics


def _by_seed(reward: RewardSpec, rewards: list[float]) -> tuple[SeedReward, ...] | None:
    if reward.seeds is None:
        return None
    return tuple(
        SeedReward(seed=seed, reward=value)
        for seed, value in zip(reward.seeds, rewards, strict=True)
    )
