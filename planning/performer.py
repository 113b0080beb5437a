"""Planning in a worker's process: validates plans and parses problems, one at a time."""

import json
from collections.abc import Mapping

from planning.judge import Judge

__all__ = ["PlanPerformer"]


class PlanPerformer:
    """Does the tasks of the domain; see :mod:`reward_server.domains.planning`."""

    def __init__(self) -> None:
        self._judge = Judge()

    def perform(self, work: str, limit_s: float) -> Mapping[str, int | float | None]:
        """The metrics of a plan; none if a problem is only to be parsed.

        Args:
            work: JSON: ``domain`` and ``problem``, and ``steps`` of a plan.
            limit_s: Seconds after which the work is killed.

        Raises:
            InvalidDecision: The domain has no such step.
            ProblemError: The problem cannot be parsed.
            RolloutError: The work takes too long or too much memory.
        """
        said = json.loads(work)
        if "steps" not in said:
            self._judge.check(said["domain"], said["problem"])
            return {}
        steps = [tuple(step) for step in said["steps"]]
        return dict(self._judge.judge(said["domain"], said["problem"], steps, limit_s))

    def interrupt(self) -> None:
        """Kills the process that parses and validates."""
        self._judge.kill()

    def close(self) -> None:
        """Ends that process."""
        self._judge.kill()
