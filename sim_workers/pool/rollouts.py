"""One rollout as it is asked for, and the digest under which its outcome is remembered."""

import hashlib
import json
from dataclasses import dataclass

from shared.decisions import Decision, canonical
from shared.rewards import FollowUp, Metrics

__all__ = ["ENGINE_REVISION", "Rolled", "RolloutTask"]

ENGINE_REVISION = 4
"""Raised whenever the same task would yield other metrics; old outcomes are then not found."""


@dataclass(frozen=True)
class RolloutTask:
    """A state, decisions at some of its signals, the signals that are watched, and a horizon."""

    state_id: str
    observe: tuple[str, ...]
    """The signals whose lanes the metrics are taken on, in the order of their ids."""
    decisions: tuple[tuple[str, Decision], ...]
    """By signal, in the order of their ids. Empty leaves every program alone: the reference of
    ``queue_gain``."""
    horizon_s: int
    """Simulated seconds."""
    follow_up: FollowUp = "program"
    """Who runs the decided signals after the decision."""
    reseed: int | None = None
    """Re-seeds the randomness at the moment of the decision; None continues it."""

    @classmethod
    def of(
        cls, state_id: str, tls_id: str, decision: Decision | None, horizon_s: int
    ) -> "RolloutTask":
        """A decision at one signal, or the program left alone, watched at that signal."""
        decisions = () if decision is None else ((tls_id, decision),)
        return cls(state_id, (tls_id,), decisions, horizon_s)

    def decisions_text(self) -> str | None:
        """The decisions as one JSON text by signal; None where nothing is decided."""
        if not self.decisions:
            return None
        return json.dumps({tls: json.loads(canonical(d)) for tls, d in self.decisions})

    def key(self, sumo_version: str) -> str:
        """The SHA-256 that equal work shares, for ever: 64 hex digits.

        Args:
            sumo_version: Version of the simulator that computes the outcome.
        """
        identity = [
            self.state_id,
            self.observe,
            self.decisions_text(),
            self.horizon_s,
            self.follow_up if self.decisions else "program",
            self.reseed,
            sumo_version,
            ENGINE_REVISION,
        ]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


@dataclass(frozen=True)
class Rolled:
    """A rollout's outcome and what it took."""

    metrics: Metrics
    """With the series."""
    waited_s: float
    """Wall-clock seconds until a worker began with it."""
    ran_s: float
    """Wall-clock seconds of the worker, the opening of a simulation included."""
