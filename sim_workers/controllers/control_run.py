"""The result of one controller's episode under one seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.wire.error_info import ErrorInfo
from sim_workers.episodes.episode import FinishedEpisode

__all__ = ["ControlRun", "by_controller"]


@dataclass(frozen=True)
class ControlRun:
    """An episode that is over or has failed."""

    controller: str
    seed: int
    finished: FinishedEpisode | None
    error: ErrorInfo | None
    decisions: int = 0
    """Number of decisions given."""
    invalid: int = 0
    deciding_s: float = 0
    """Wall-clock seconds that the controller took to decide; for a batch over several episodes,
    this one's share by number of questions."""
    wall_s: float = 0
    rollouts: int = 0
    """Number of rollouts by which a controller looked ahead."""


def by_controller(runs: Sequence[ControlRun]) -> dict[str, list[ControlRun]]:
    """The runs of each controller, in order."""
    found: dict[str, list[ControlRun]] = {}
    for run in runs:
        found.setdefault(run.controller, []).append(run)
    return found
