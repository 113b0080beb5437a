"""Which rollouts of restored processes are also done by a fork, and what follows if they differ.

Restoring a process is exact as far as anybody knows; these checks notice if it ever is not. Pure
bookkeeping for one worker.
"""

from sim_workers.engine.messages import Rollout

__all__ = ["RestoreChecks"]

_FORKED = 3
"""A simulation asked for at most this many rollouts has them forked: making a process that can be
restored costs as much as two or three forks."""


class RestoreChecks:
    """Which rollouts of a worker are restored, and which of those are checked.

    The first restored rollout of each simulation is checked, and then one out of ``every``.

    Args:
        every: Restored rollouts between checks; None restores nothing.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._asked: dict[str, int] = {}
        self._checked: set[str] = set()
        self._unchecked: list[Rollout] = []

    @property
    def is_restoring(self) -> bool:
        """Whether rollouts may be restored."""
        return self._every is not None

    def asked(self, simulation: str, rollouts: int) -> bool:
        """Records that rollouts are requested; returns whether to restore them."""
        self._asked[simulation] = self._asked.get(simulation, 0) + rollouts
        return self.is_restoring and self._asked[simulation] > _FORKED

    def closed(self, simulation: str) -> None:
        """Records that a simulation was dropped."""
        self._asked.pop(simulation, None)
        self._checked.discard(simulation)

    def is_due(self, rollout: Rollout) -> bool:
        """Records that a rollout was restored; returns whether a fork has to repeat it."""
        self._unchecked.append(rollout)
        is_first = rollout.simulation not in self._checked
        return is_first or len(self._unchecked) >= (self._every or 1)

    def passed(self, rollout: Rollout) -> None:
        """Records that both were equal."""
        self._checked.add(rollout.simulation)
        self._unchecked.clear()

    def failed(self) -> tuple[Rollout, ...]:
        """Records that they differed: nothing is restored from now on.

        Returns:
            What was restored since the last passed check, including this rollout.
        """
        doubtful, self._unchecked, self._every = tuple(self._unchecked), [], None
        return doubtful

    def stop(self) -> None:
        """Restores nothing from now on, because it is not possible here."""
        self._every = None
