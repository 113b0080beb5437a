"""Proving that a saved state continues exactly as the simulation it was saved from."""

from collections.abc import Sequence

from shared.dataset import Outcome
from shared.decisions import Decision
from shared.legality import legal_decisions
from shared.signals import Signal
from sim_workers.build_plan import BuildOptions
from sim_workers.messages import Observed, RolledOut, Rollout
from sim_workers.processes import Holder

__all__ = ["Proof"]

_LIMIT_S = 600.0


class Proof:
    """Rolls out two simulations side by side and compares every vehicle in every second.

    Args:
        live: The simulation, at the moment of the state.
        restored: The same, continued from the state's file.
        seen: What the signals were doing at that moment.
        options: The horizon, how long is compared, and what a *yes* adds.
    """

    def __init__(
        self, live: Holder, restored: Holder, seen: Observed, options: BuildOptions
    ) -> None:
        self._live = live
        self._restored = restored
        self._seen = seen
        self._options = options

    def outcomes(self, signals: Sequence[Signal]) -> dict[str, list[Outcome]] | None:
        """Every legal decision's outcome by signal; None as soon as anything differs.

        Left alone, a state may continue exactly and differ once something is decided, so every
        decision is compared.
        """
        if self._rolled_out(signals[0], None) is None:
            return None
        outcomes: dict[str, list[Outcome]] = {}
        for signal in signals:
            for decision in legal_decisions(self._options.extend_s):
                exact = self._rolled_out(signal, decision)
                if exact is None:
                    return None
                metrics = exact.metrics.model_copy(update={"series": None})
                outcome = Outcome(decision=decision, metrics=metrics)
                outcomes.setdefault(signal.tls_id, []).append(outcome)
        return outcomes

    def _rolled_out(self, signal: Signal, decision: Decision | None) -> RolledOut | None:
        """What both show, or None if they differ."""
        rollout = self._rollout(signal, decision)
        self._live.send(rollout)
        self._restored.send(rollout)
        true, continued = (h.receive(RolledOut, _LIMIT_S) for h in (self._live, self._restored))
        return true if true == continued else None

    def _rollout(self, signal: Signal, decision: Decision | None) -> Rollout:
        elapsed_s = self._seen.signals[signal.tls_id].elapsed_s
        return Rollout(
            tls_id=signal.tls_id,
            phase_remaining_s=None
            if decision is None
            else decision.remaining_s(elapsed_s, signal.min_green_s, signal.max_green_s),
            horizon_s=self._options.horizon_s,
            limit_s=_LIMIT_S,
            trace_s=self._options.verified_s,
        )
