"""Proves that a restored state continues exactly as the simulation it was saved from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.dataset import Outcome
from shared.decisions import Decision
from shared.language.prompts import LaneCounts
from shared.legality import is_decision_point, legal_decisions
from shared.signals import Signal, SignalState
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.live_rollouts import LiveRollouts
from sim_workers.engine.fork_client import SimulationHandle
from sim_workers.engine.messages import Observed, Rollout, RolloutOutcome, SignalDecision

__all__ = ["Proof", "ProofPoint", "decision_points"]

_LIMIT_S = 600.0


@dataclass(frozen=True)
class ProofPoint:
    """A signal in a state, and what can be decided there."""

    signal: Signal
    state: SignalState
    counts: dict[int, LaneCounts]
    """The vehicles of each green phase."""
    decisions: tuple[Decision, ...]
    """Every legal decision that outcomes are wanted for; never empty."""


def decision_points(
    signals: Iterable[Signal], seen: Observed, options: BuildOptions
) -> list[ProofPoint]:
    """The signals at which something can be decided at this moment, in order."""
    points = []
    for signal in signals:
        state = seen.signals[signal.tls_id]
        if is_decision_point(signal, state):
            decisions = legal_decisions(options.kind, signal, state, options.extend_s)
            points.append(ProofPoint(signal, state, seen.counts[signal.tls_id], decisions))
    return [point for point in points if point.decisions]


@dataclass(frozen=True)
class Proof:
    """What the live simulation showed under every legal decision, to compare with elsewhere.

    A state may continue exactly when left alone and differ once something is decided, so every
    decision is compared. So are the signals left alone, because ``queue_gain`` compares with them.
    """

    shown: tuple[tuple[Rollout, RolloutOutcome], ...]

    @classmethod
    def of(cls, live: LiveRollouts, points: Sequence[ProofPoint], options: BuildOptions) -> "Proof":
        """Rolls out the live simulation, from where it is now, under every legal decision.

        Args:
            live: The simulation, at the moment of the state.
            points: What can be decided there; at least one.
            options: The horizon, and the length of the comparison.
        """
        rollouts = _rollouts(points, options)
        return cls(tuple(zip(rollouts, live.outcomes(rollouts), strict=True)))

    def holds_for(self, restored: SimulationHandle) -> bool:
        """Whether a restored simulation moves every vehicle as the live one did.

        It is asked for one rollout after another until something differs. It does the last one
        itself, without a fork, because it is not needed afterwards.
        """
        *others, (last, last_seen) = self.shown
        spent = last.model_copy(update={"in_place": True})
        return all(
            restored.call(each, RolloutOutcome, _LIMIT_S).seen == seen.seen
            for each, seen in [*others, (spent, last_seen)]
        )

    def outcomes(self, tls_id: str) -> tuple[Outcome, ...]:
        """The live simulation's own metrics under every legal decision at a signal."""
        return tuple(
            Outcome(
                decision=order.decision,
                metrics=seen.unwrap().model_copy(update={"series": None}),
            )
            for rollout, seen in self.shown
            for order in rollout.signal_decisions
            if order.tls_id == tls_id
        )


def _rollouts(points: Sequence[ProofPoint], options: BuildOptions) -> list[Rollout]:
    """The signals left alone, then each decision; without a proof only what gets stored."""
    decided: list[tuple[SignalDecision, ...]] = []
    if options.with_outcomes or not options.only_replays:
        decided = [
            (SignalDecision.of(point.signal.tls_id, each, point.signal, point.state),)
            for point in points
            for each in point.decisions
        ]
    alone: list[tuple[SignalDecision, ...]] = [] if options.only_replays else [()]
    return [
        Rollout(
            signal_decisions=signal_decisions,
            observe=(signal_decisions[0].tls_id if signal_decisions else points[0].signal.tls_id,),
            horizon_s=options.horizon_s,
            limit_s=_LIMIT_S,
            trace_s=None if options.only_replays else options.verified_s,
            is_last=True,  # a child kept ready would only compete with what runs beside
        )
        for signal_decisions in [*alone, *decided]
    ]
