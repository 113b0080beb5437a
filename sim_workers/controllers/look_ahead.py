"""Look-ahead: rolls out what each decision would lead to, and takes the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.errors import RolloutError
from shared.wire.episodes import EpisodeDecision
from sim_workers.controllers.controller import Controller, DrivenEpisode
from sim_workers.controllers.rules import by_rule
from sim_workers.engine.episodes.messages import PhaseRule, SignalSeen, Trial

__all__ = ["LookAheadController", "LookAheadSettings"]


@dataclass(frozen=True)
class LookAheadSettings:
    """How far to look ahead, and how long to take."""

    horizon_s: int = 60
    """Simulated seconds of each rollout."""
    base: PhaseRule = "greedy"
    """The rule that decides at all signals after the first step of a rollout; its choices are also
    the ones to improve."""
    passes: int = 1
    """Rounds over the signals; in a second one, each signal sees what the later ones have
    decided."""
    budget: int | None = None
    """The most rollouts per step. Signals are then taken in the order of the vehicles on their
    lanes; one with more candidates than there are rollouts left is skipped. None: no limit."""
    at_once: int = 1
    """Rollouts side by side, each in a process of its own."""
    limit_s: float = 600
    """Wall-clock seconds for the rollouts of one signal."""


class LookAheadController(Controller):
    """Improves the base policy's decisions, signal after signal.

    At each step it starts from what the base policy would decide at all signals. Then, signal by
    signal in the order of their ids, every other legal decision is rolled out for ``horizon_s``,
    with the other signals as decided so far and the base policy deciding at the following steps.
    The decision that costs least is kept; on a tie, the earlier one. The cost of a rollout is the
    network's delay:
    the sum over seconds of ``sum (1 - speed / allowed speed)`` over all vehicles, plus those that
    wait to be inserted. This is one step of policy improvement by rollout, one agent at a time:
    Bertsekas, *Multiagent Rollout Algorithms and Reinforcement Learning*, 2019
    (https://arxiv.org/abs/1910.00120).

    The rollouts are exact: forks of the episode's own simulation.
    """

    def __init__(self, settings: LookAheadSettings) -> None:
        self._settings = settings
        self.rollouts = 0

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """The decisions that cost least.

        Raises:
            GreenforkError: A rollout failed. Nothing is decided instead.
        """
        best = by_rule(self._settings.base, episode)
        cost: float | None = None
        until = None if self._settings.budget is None else self.rollouts + self._settings.budget
        for _ in range(self._settings.passes):
            before = dict(best)
            for tls_id, seen in self._order(episode.seen.signals):
                others = [one for one in seen.legal if one != best.get(tls_id)]
                if not others:
                    continue
                candidates = [{**best, tls_id: one} for one in others]
                if cost is None:
                    candidates.insert(0, best)
                if until is not None and self.rollouts + len(candidates) > until:
                    continue
                costs = self._costs(episode, candidates)
                if cost is None:
                    cost = costs[0]
                for candidate, found in zip(candidates, costs, strict=True):
                    if found < cost:
                        best, cost = candidate, found
            if best == before:
                break
        return best

    def _order(self, signals: Mapping[str, SignalSeen]) -> list[tuple[str, SignalSeen]]:
        """By id; if not all can be improved, the busiest first."""
        by_id = sorted(signals.items())
        if self._settings.budget is None:
            return by_id
        return sorted(by_id, key=lambda one: -sum(c.vehicles for c in one[1].counts.values()))

    def _costs(
        self, episode: DrivenEpisode, candidates: Sequence[Mapping[str, EpisodeDecision]]
    ) -> list[float]:
        settings = self._settings
        trials = episode.try_candidates(
            candidates, settings.horizon_s, settings.base, settings.at_once, settings.limit_s
        )
        self.rollouts += len(trials)
        return [_cost(trial) for trial in trials]


def _cost(trial: Trial) -> float:
    if trial.error is not None:
        raise trial.error.to_error()
    if trial.delay_veh is None:
        raise RolloutError("a rollout has no delay")
    return trial.delay_veh
