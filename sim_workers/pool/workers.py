"""What the pool knows of one of its workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sim_workers.pool.rollout import StateFiles

__all__ = ["PoolWorker"]


@dataclass(eq=False)
class PoolWorker:
    """A living actor."""

    actor: Any
    number: int
    """By which it is told apart from all others, those before it included."""
    simulations: set[str] = field(default_factory=set)
    """Those that it was sent; it may have let some go."""
    scenarios: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    """Those whose actions it was sent."""
    batch: Sequence[Any] = ()
    """What it is at."""

    def note(self, simulation: str, files: StateFiles | None) -> None:
        """Keeps in mind what it has accepted."""
        self.simulations.add(simulation)
        if files is not None:
            self.scenarios.add(files.scenario_id)
            if files.run_actions is not None:
                self.runs.add(files.run)
