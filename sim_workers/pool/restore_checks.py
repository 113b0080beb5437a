"""When a rollout that was put back is done by a fork as well, and what follows if they differ.

Putting a process back is exact as far as anybody knows; this is what notices if it ever is not.
Pure bookkeeping of one worker.
"""

from sim_workers.engine.messages import Rollout

__all__ = ["RestoreChecks"]

_FORKED = 3
"""A simulation that is not asked for more rollouts than this has them forked: making a process that
can be put back costs as much as two or three forks."""


class RestoreChecks:
    """Which rollouts of a worker are restored, and which of those are checked.

    The first restored rollout of each simulation is checked, and every so many after the last one.

    Args:
        every: How many; None: nothing is restored.
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
        """Notes that so many are asked for; says whether they are to be restored."""
        self._asked[simulation] = self._asked.get(simulation, 0) + rollouts
        return self.is_restoring and self._asked[simulation] > _FORKED

    def closed(self, simulation: str) -> None:
        """Notes that a simulation is let go."""
        self._asked.pop(simulation, None)
        self._checked.discard(simulation)

    def is_due(self, rollout: Rollout) -> bool:
        """Notes that a rollout was restored; says whether it is to be done by a fork as well."""
        self._unchecked.append(rollout)
        is_first = rollout.simulation not in self._checked
        return is_first or len(self._unchecked) >= (self._every or 1)

    def passed(self, rollout: Rollout) -> None:
        """Notes that it came out equal."""
        self._checked.add(rollout.simulation)
        self._unchecked.clear()

    def failed(self) -> tuple[Rollout, ...]:
        """Notes that it did not: nothing is restored from now on.

        Returns:
            What was restored since the last check that was passed, this one included.
        """
        doubtful, self._unchecked, self._every = tuple(self._unchecked), [], None
        return doubtful

    def stop(self) -> None:
        """Restores nothing from now on: it cannot be had here."""
        self._every = None
