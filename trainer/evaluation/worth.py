"""What each legal decision at a decision point is worth: rewards, queues, and regrets.

Owns the regret. Rewards are computed from stored metrics where these suffice, by the formulas in
:mod:`shared.rewards`; :mod:`trainer.evaluation.service` asks the service for the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.dataset import Outcome
from shared.decisions import Decision, canonical
from shared.errors import RolloutError
from shared.rewards import Metrics, TermName, term_of

__all__ = ["Valued", "Worth", "stored_reward", "stored_worth"]


@dataclass(frozen=True)
class Valued:
    """A decision, its reward, and the queue it leads to."""

    decision: Decision
    reward: float
    queue_veh: float


@dataclass(frozen=True)
class Worth:
    """Every legal decision at one point; never empty.

    >>> from shared.decisions import Extend
    >>> yes, no = Extend(extend=True), Extend(extend=False)
    >>> worth = Worth((Valued(yes, -4.5, 4.5), Valued(no, -3.0, 3.0)))
    >>> worth.best.decision == no, worth.regret(worth.decisions[0]), worth.gap_veh
    (True, 1.5, 1.5)
    """

    decisions: tuple[Valued, ...]

    @property
    def best(self) -> Valued:
        """The decision with the highest reward; the first of equals."""
        return max(self.decisions, key=lambda one: one.reward)

    @property
    def gap_veh(self) -> float:
        """The longest queue that a decision leads to minus the shortest, vehicles."""
        queues = [one.queue_veh for one in self.decisions]
        return max(queues) - min(queues)

    @property
    def worst_regret(self) -> float:
        """The regret of the worst decision, in the reward's unit."""
        return max(self.regret(one) for one in self.decisions)

    def regret(self, chosen: Valued) -> float:
        """The best reward minus the chosen decision's, in the reward's unit.

        At least 0, unless the chosen decision is none of these and better than all of them.
        """
        return self.best.reward - chosen.reward

    def regret_veh(self, chosen: Valued) -> float:
        """The queue after the chosen decision minus the shortest known one, vehicles."""
        return chosen.queue_veh - min(one.queue_veh for one in self.decisions)

    def find(self, decision: Decision) -> Valued | None:
        """The same decision, or one of equal effect; None if neither is among these."""
        wanted = canonical(decision)
        return next((one for one in self.decisions if canonical(one.decision) == wanted), None)


def stored_worth(outcomes: Sequence[Outcome], reward: TermName) -> Worth | None:
    """The worth computed from stored metrics; None if they do not suffice.

    Args:
        outcomes: Every legal decision's metrics.
        reward: The reward to compute.
    """
    valued = []
    for outcome in outcomes:
        value = stored_reward(reward, outcome.metrics)
        if value is None:
            return None
        valued.append(Valued(outcome.decision, value, outcome.metrics.queue_veh))
    return Worth(tuple(valued)) if valued else None


def stored_reward(name: TermName, metrics: Metrics) -> float | None:
    """The reward of one rollout, if it can be computed from the metrics alone.

    None for ``queue_gain``, which compares with the program left alone, a rollout that datasets do
    not store; for ``speed`` if no vehicle was ever present; and for ``delay`` in datasets older
    than this metric.

    >>> metrics = Metrics(queue_veh=2.5, queue_veh_max=4, wait_s=9, throughput_veh=3,
    ...     pressure_veh=-2, network_queue_veh=3)
    >>> [stored_reward(name, metrics) for name in ("queue", "wait", "pressure", "speed")]
    [-2.5, -9.0, -2.0, None]
    """
    try:
        return term_of(name, metrics, None)
    except (RolloutError, ValueError):
        return None
