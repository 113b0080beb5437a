"""An episode that stands still: two junctions made up here, and a price for what is decided."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

from shared.errors import RolloutCrashed
from shared.signals import Phase, Program
from shared.wire.episodes import PRESETS, EpisodeDecision, ShowPhase
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import PhaseCounts, PhaseRule, SignalSeen, Trial
from sim_workers.episodes.episode import Episode

__all__ = ["PROGRAM", "StandingEpisode", "seen", "show"]


PROGRAM = Program(
    program_id="0",
    kind="static",
    phases=(
        Phase(duration_s=20, state="GGrrr", green_lanes=("n_0", "n_1")),
        Phase(duration_s=3, state="yyrrr"),
        Phase(duration_s=20, state="rrGGr", green_lanes=("e_0",)),
        Phase(duration_s=3, state="rryyr"),
        Phase(duration_s=20, state="rrrrG", green_lanes=("w_0",)),
        Phase(duration_s=3, state="rrrry"),
        Phase(duration_s=9, state="rGrrr", green_lanes=("n_1",)),
        Phase(duration_s=3, state="ryrrr"),
    ),
)
"""Phase 6 gives green to a lane that phase 0 serves, too."""


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
        self.steered = {tls_id: SimpleNamespace(programs={"0": PROGRAM}) for tls_id in signals}
        self.steps = 0
        self.tried: list[tuple[Mapping[str, EpisodeDecision], ...]] = []
        self._cost = cost

    def program_id(self, tls_id: str) -> str:
        """The same for all."""
        return "0"

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
