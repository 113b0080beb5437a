"""Planning in a worker's process: plans judged, problems read, one after the other."""

import json
from collections.abc import Mapping

from planning.judge import Judge

__all__ = ["PlanPerformer"]


class PlanPerformer:
    """Does what tasks of the domain say; see :mod:`reward_server.domains.planning`."""

    def __init__(self) -> None:
        self._judge = Judge()

    def perform(self, work: str, limit_s: float) -> Mapping[str, int | float | None]:
        """The metrics of a plan; none where a problem is only to be read.

        Args:
            work: JSON: ``domain`` and ``problem``, and ``steps`` of a plan.
            limit_s: Seconds after which it is killed.

        Raises:
            InvalidDecision: A step is none of the domain's.
            ProblemError: The problem cannot be read.
            RolloutError: It takes too long or too much memory.
        """
        said = json.loads(work)
        if "steps" not in said:
            self._judge.check(said["domain"], said["problem"])
            return {}
        steps = [tuple(step) for step in said["steps"]]
        return dict(self._judge.judge(said["domain"], said["problem"], steps, limit_s))

    def interrupt(self) -> None:
        """Kills the process that reads."""
        self._judge.kill()

    def close(self) -> None:
        """Ends it."""
        self._judge.kill()
