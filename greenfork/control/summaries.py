"""The figures of a controller's episodes over the seeds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.controllers.statistics import Spread

__all__ = ["ControlSummary", "episode_as_json", "summary_as_json", "summary_of"]


@dataclass(frozen=True)
class ControlSummary:
    """One controller; every figure is over the seeds whose episodes finished."""

    delay: "Spread | None"
    """In seconds."""
    travel_time: "Spread | None"
    """In seconds."""
    queue: "Spread | None"
    """In vehicles."""
    finished: int
    gridlocked: int
    failed: int
    decisions: int
    invalid: int
    deciding_s: float
    rollouts: int

    @property
    def invalid_share(self) -> float | None:
        """Share of the decisions; None without decisions."""
        return self.invalid / self.decisions if self.decisions else None

    @property
    def decision_s(self) -> float | None:
        """Seconds per decision; None without decisions."""
        return self.deciding_s / self.decisions if self.decisions else None

    @property
    def decisions_per_s(self) -> float | None:
        """None without decisions, or if they took no time."""
        return self.decisions / self.deciding_s if self.decisions and self.deciding_s else None


def summary_of(runs: "Sequence[ControlRun]") -> ControlSummary:
    """Sums up the episodes of one controller."""
    from sim_workers.controllers.statistics import spread_of

    figures = [run.finished.figures for run in runs if run.finished]
    return ControlSummary(
        delay=spread_of([one.delay_s for one in figures if one.delay_s is not None]),
        travel_time=spread_of(
            [one.travel_time_s for one in figures if one.travel_time_s is not None]
        ),
        queue=spread_of([one.queue_veh for one in figures if one.queue_veh is not None]),
        finished=len(figures),
        gridlocked=sum(one.gridlocked for one in figures),
        failed=sum(run.error is not None for run in runs),
        decisions=sum(run.decisions for run in runs),
        invalid=sum(run.invalid for run in runs),
        deciding_s=sum(run.deciding_s for run in runs),
        rollouts=sum(run.rollouts for run in runs),
    )


def summary_as_json(summary: ControlSummary) -> dict[str, Any]:
    """The figures by name, each with its unit."""
    delay = summary.delay
    return {
        "delay_median_s": delay.median if delay else None,
        "delay_mean_s": delay.mean if delay else None,
        "delay_half_width_s": delay.half_width if delay else None,
        "travel_time_median_s": summary.travel_time.median if summary.travel_time else None,
        "queue_median_veh": summary.queue.median if summary.queue else None,
        "gridlocked": summary.gridlocked,
        "invalid_share": summary.invalid_share,
        "decision_s": summary.decision_s,
        "decisions_per_s": summary.decisions_per_s,
        "rollouts": summary.rollouts,
        "failed": summary.failed,
    }


def episode_as_json(run: "ControlRun") -> dict[str, Any]:
    """The figures of one episode."""
    return {
        "seed": run.seed,
        "figures": run.finished.figures.model_dump(mode="json") if run.finished else None,
        "error": run.error.model_dump() if run.error else None,
        **{
            name: value
            for name, value in asdict(run).items()
            if name in ("decisions", "invalid", "deciding_s", "wall_s", "rollouts")
        },
    }
