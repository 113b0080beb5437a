"""An episode that stands still: two junctions made up here, and a price for what is decided."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

from shared.errors import RolloutCrashed
from shared.wire.episodes import PRESETS, EpisodeDecision, ShowPhase
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import PhaseCounts, PhaseRule, SignalSeen, Trial
from sim_workers.episodes.episode import Episode

__all__ = ["StandingEpisode", "seen", "show"]


def show(phase: int) -> ShowPhase:
    """A decision."""
    return ShowPhase(next_phase=phase)


def seen(
    vehicles: Mapping[int, int], phase: int = 0, legal: Sequence[int] | None = None, queued: int = 0
) -> SignalSeen:
    """A signal with so many moving vehicles on each green's lanes."""
    return SignalSeen(
        phase=phase,
        elapsed_s=20,
        legal=tuple(show(one) for one in (vehicles if legal is None else legal)),
        counts={
            green: PhaseCounts(queued=queued, approaching=count, passed=0, wait_s=0, exit_veh=0)
            for green, count in vehicles.items()
        },
    )


class StandingEpisode:
    """Answers as an episode does.

    Args:
        signals: What is seen.
        cost: The price of joint decisions; None: their rollout fails.
    """

    def __init__(
        self,
        signals: Mapping[str, SignalSeen],
        cost: Callable[[Mapping[str, EpisodeDecision]], float | None] = lambda decided: 0.0,
    ) -> None:
        self.seen = SimpleNamespace(signals=dict(signals))
        self.spec = SimpleNamespace(control=PRESETS["resco"])
        self.steps = 0
        self.tried: list[tuple[Mapping[str, EpisodeDecision], ...]] = []
        self._cost = cost

    def try_candidates(
        self,
        candidates: Sequence[Mapping[str, EpisodeDecision]],
        horizon_s: int,
        base: PhaseRule,
        at_once: int,
        limit_s: float,
    ) -> tuple[Trial, ...]:
        """Prices each candidate."""
        self.tried.append(tuple(candidates))
        return tuple(self._trial(self._cost(one)) for one in candidates)

    def _trial(self, cost: float | None) -> Trial:
        if cost is None:
            return Trial(error=ErrorInfo.of(RolloutCrashed("it died")))
        return Trial(delay_veh=cost, queue_veh=0)

    @property
    def as_episode(self) -> Episode:
        """For controllers, which ask nothing else."""
        return cast("Episode", self)
