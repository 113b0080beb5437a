"""Controllers that need to know only the traffic on the lanes now, or nothing at all."""

import random
from collections.abc import Mapping

from shared.signals import Program
from shared.wire.episodes import EpisodeDecision, ShowPhase
from sim_workers.controllers.controller import Controller, DrivenEpisode
from sim_workers.engine.episodes.messages import PhaseRule, SignalSeen
from sim_workers.engine.episodes.rules import decide_by_rule, decision_for

__all__ = [
    "ActuatedController",
    "DelayBasedController",
    "FixedController",
    "RandomController",
    "RuleController",
    "SotlController",
    "by_rule",
]


class FixedController(Controller):
    """The programs of the network, unchanged: fixed time if they are static."""

    is_steering = False

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """No decisions."""
        return {}


class ActuatedController(FixedController):
    """SUMO's gap-based actuation: a green lasts while vehicles follow closely.

    https://sumo.dlr.de/docs/Simulation/Traffic_Lights.html#actuated_traffic_lights
    """

    program = "actuated"


class DelayBasedController(FixedController):
    """SUMO's actuation by time loss: a green lasts while vehicles that have lost time approach.

    https://sumo.dlr.de/docs/Simulation/Traffic_Lights.html#delay_based_traffic_lights
    """

    program = "delay_based"


class RandomController(Controller):
    """One of the legal decisions, all equally likely.

    Args:
        seed: Seed of the random decisions.
    """

    def __init__(self, seed: int) -> None:
        self._coins = random.Random(seed)  # noqa: S311  not for security

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """A random choice for each signal, in the order of their ids."""
        signals = sorted(episode.seen.signals.items())
        return {tls: self._coins.choice(seen.legal) for tls, seen in signals if seen.legal}


class RuleController(Controller):
    """A rule of :mod:`sim_workers.engine.episodes.rules`, applied to each signal by itself."""

    def __init__(self, rule: PhaseRule) -> None:
        self._rule = rule

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """The rule's choices."""
        return by_rule(self._rule, episode)


class SotlController(Controller):
    """Self-organising lights: a red whose vehicles have waited long enough in total gets its green.

    Cools, Gershenson and D'Hooghe, *Self-organizing traffic lights: a realistic simulation*, 2008
    (https://arxiv.org/abs/nlin/0610040). At each step, a red phase adds the vehicles on its lanes
    times the seconds between steps; a phase is not red if all its lanes have some green now. Once a
    sum has reached the threshold, the phase with the largest sum gets its green, unless a short
    platoon is about to pass the current one: some vehicles are moving towards it, but fewer than
    ``platoon_veh``.

    Args:
        threshold_veh_s: Vehicle-seconds that a red must have accumulated.
        platoon_veh: A platoon of fewer moving vehicles is not cut.
    """

    def __init__(self, threshold_veh_s: float = 50, platoon_veh: int = 3) -> None:
        self._threshold_veh_s = threshold_veh_s
        self._platoon_veh = platoon_veh
        self._gathered_veh_s: dict[tuple[str, int], float] = {}

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """Accumulates, and changes to a red that has accumulated enough."""
        interval_s = episode.spec.control.interval_s
        found = {}
        for tls_id, seen in episode.seen.signals.items():
            program = episode.steered[tls_id].programs[episode.program_id(tls_id)]
            decision = self._decide(tls_id, seen, program, interval_s)
            if decision is not None:
                found[tls_id] = decision
        return found

    def _decide(
        self, tls_id: str, seen: SignalSeen, program: Program, interval_s: int
    ) -> EpisodeDecision | None:
        gathered, served = self._gathered_veh_s, {*program.phases[seen.phase].green_lanes}
        for phase, counts in seen.counts.items():
            key = (tls_id, phase)
            waited = gathered.get(key, 0) + counts.vehicles * interval_s
            is_served = phase == seen.phase or served >= {*program.phases[phase].green_lanes}
            gathered[key] = 0 if is_served else waited
        phases = [one.next_phase for one in seen.legal if isinstance(one, ShowPhase)]
        choices = [phase for phase in phases or seen.counts if phase != seen.phase]
        wanted = seen.phase
        platoon_veh = seen.counts[seen.phase].approaching if seen.phase in seen.counts else 0
        if choices and not 0 < platoon_veh < self._platoon_veh:
            best = max(choices, key=lambda phase: (gathered[tls_id, phase], -phase))
            if gathered[tls_id, best] >= self._threshold_veh_s:
                wanted = best
        return decision_for(wanted, seen.phase, seen.legal)


def by_rule(rule: PhaseRule, episode: DrivenEpisode) -> dict[str, EpisodeDecision]:
    """A rule's decisions at the signals of an episode now."""
    found = {}
    for tls_id, seen in episode.seen.signals.items():
        decision = decide_by_rule(rule, seen.phase, seen.counts, seen.legal)
        if decision is not None:
            found[tls_id] = decision
    return found
