"""One rollout as it is asked for, and the digest under which its outcome is remembered."""

import hashlib
import json
from dataclasses import dataclass

from shared.decisions import Decision, canonical

__all__ = ["ENGINE_REVISION", "RolloutTask"]

ENGINE_REVISION = 2
"""Raised whenever the same task would yield other metrics; old outcomes are then not found."""


@dataclass(frozen=True)
class RolloutTask:
    """A state, a decision at one of its signals, and a horizon."""

    state_id: str
    tls_id: str
    """The signal that is decided and observed."""
    decision: Decision | None
    """None leaves the program alone: the reference of ``queue_gain``."""
    horizon_s: int
    """Simulated seconds."""

    def key(self, sumo_version: str) -> str:
        """The SHA-256 that equal work shares, for ever: 64 hex digits.

        Args:
            sumo_version: Version of the simulator that computes the outcome.
        """
        identity = [
            self.state_id,
            self.tls_id,
            None if self.decision is None else canonical(self.decision),
            self.horizon_s,
            sumo_version,
            ENGINE_REVISION,
        ]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
