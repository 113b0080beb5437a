"""Rolls out the live simulation: many rollouts of one moment in a process that is put back.

The first and the last rollout of a moment are also done by forks. If they differ, this is logged,
and all rollouts of that moment and later ones are done by forks.
"""

from collections.abc import Sequence

import structlog

from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Rollout, RolloutOutcome

__all__ = ["LiveRollouts"]

_LIMIT_S = 600.0
_FEW = 20
"""Up to this many rollouts, making a process that can be put back and checking it twice costs more
than it saves: with ten rollouts of a minute on cologne8 both take the same processor time."""
_log = structlog.get_logger(__name__)


class LiveRollouts:
    """Rollouts of one live simulation, as it moves on.

    Args:
        simulation: The simulation.
        fork_server: The fork server that it comes from.
    """

    def __init__(self, simulation: SimulationHandle, fork_server: ForkServer) -> None:
        self.simulation = simulation
        self._fork_server = fork_server
        self._is_kept = False
        self._is_trusted = True

    def outcomes(self, rollouts: Sequence[Rollout]) -> list[RolloutOutcome]:
        """The outcomes of rollouts from the current moment, in order.

        Raises:
            GreenforkError: One of them failed.
        """
        if len(rollouts) > _FEW and self._is_trusted:
            self._keep()
            restored = [self._outcome(rollout) for rollout in rollouts]
            if self._are_equal(rollouts, restored):
                return restored
            self._is_trusted = False
        return [self._forked(rollout) for rollout in rollouts]

    def _keep(self) -> None:
        if not self._is_kept:
            self._fork_server.keep(self.simulation)
            self._is_kept = True

    def _are_equal(self, rollouts: Sequence[Rollout], restored: Sequence[RolloutOutcome]) -> bool:
        """Whether the first and the last outcome equal those of forks."""
        for index in (0, -1):
            if restored[index].made_by == "fork":
                continue
            forked = self._forked(rollouts[index])
            if forked.seen != restored[index].seen:
                _log.error(
                    "restored_rollout_differs",
                    restored=restored[index].metrics,
                    forked=forked.metrics,
                    consequence="the state's rollouts are done again by forks, and all after it",
                )
                return False
        return True

    def _forked(self, rollout: Rollout) -> RolloutOutcome:
        return self._outcome(rollout.model_copy(update={"is_forked": True}))

    def _outcome(self, rollout: Rollout) -> RolloutOutcome:
        return self.simulation.call(rollout, RolloutOutcome, _LIMIT_S)
