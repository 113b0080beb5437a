"""Rules that choose a green phase from the traffic on its lanes. Pure.

They are asked at the decision points of an episode and answer with one of the legal phases, so that
minimum greens and transitions are kept. With every rule, ties go to the current green, then to the
lowest index.

==================  ================================================================================
``greedy``          most vehicles on the phase's lanes: the baseline of RESCO (Ault and Sharon,
                    *Reinforcement Learning Benchmarks for Traffic Signal Control*, NeurIPS 2021)
``longest_queue``   most standing vehicles on its lanes
``max_pressure``    most vehicles on its lanes minus vehicles on the lanes to which the phase leads
                    (Varaiya, *Max pressure control of a network of signalized intersections*,
                    Transportation Research Part C 36, 2013)
``keep``            the current green
==================  ================================================================================
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from shared.wire.episodes import EpisodeDecision, ExtendGreen, ShowPhase
from sim_workers.engine.episodes.messages import PhaseRule
from sim_workers.engine.policies import greedy_phase

__all__ = ["GreenDemand", "choose_phase", "decide_by_rule", "decision_for"]


class GreenDemand(Protocol):
    """The traffic that a green serves, such as
    :class:`sim_workers.engine.episodes.messages.PhaseCounts`.

    A rule reads only what it needs.
    """

    @property
    def queued(self) -> int:
        """Standing vehicles on its lanes."""

    @property
    def vehicles(self) -> int:
        """All vehicles on its lanes."""

    @property
    def pressure(self) -> int:
        """Vehicles on its lanes minus vehicles on the lanes to which it leads."""


def choose_phase(
    rule: PhaseRule, current: int, counts: Mapping[int, GreenDemand], legal: Collection[int]
) -> int | None:
    """The phase that a rule chooses; None if nothing is legal.

    Args:
        rule: The rule.
        current: The current phase.
        counts: The vehicles of each green.
        legal: The greens from which it may choose.
    """
    if not legal:
        return None
    if rule == "keep" and current in legal:
        return current
    return greedy_phase(current, {phase: _worth(rule, counts[phase]) for phase in legal})


def decide_by_rule(
    rule: PhaseRule,
    current: int,
    counts: Mapping[int, GreenDemand],
    legal: Collection[EpisodeDecision],
) -> EpisodeDecision | None:
    """A rule's decision at a signal, for either kind of decision.

    Under ``extend`` a green is kept if the rule would choose it among all greens; the rule ``keep``
    leaves the signal to its program.

    Returns:
        One of the legal decisions; None if nothing is decided.
    """
    phases = [one.next_phase for one in legal if isinstance(one, ShowPhase)]
    if phases:
        return decision_for(choose_phase(rule, current, counts, phases), current, legal)
    if rule == "keep":
        return None
    return decision_for(choose_phase(rule, current, counts, counts), current, legal)


def decision_for(
    phase: int | None, current: int, legal: Collection[EpisodeDecision]
) -> EpisodeDecision | None:
    """The legal decision that shows a phase, or under ``extend`` keeps it or ends another one."""
    for one in legal:
        match one:
            case ShowPhase(next_phase=shown) if shown == phase:
                return one
            case ExtendGreen(extend=extend) if extend == (phase == current):
                return one
    return None


def _worth(rule: PhaseRule, counts: GreenDemand) -> int:
    match rule:
        case "longest_queue":
            return counts.queued
        case "max_pressure":
            return counts.pressure
    return counts.vehicles
