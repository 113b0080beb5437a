"""Trying candidates at the moments of an episode, in the cheaper of two ways.

Either each candidate is a fork of the episode's process, or one process does all candidates of a
moment and is put back after each (:mod:`sim_workers.engine.restoring`). The results are the same to
the bit; some of the latter are repeated by forks to make sure.
"""

from dataclasses import dataclass, replace

import structlog

from sim_workers.engine.episodes.messages import Trial, Tried, Try
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.restoring.probe import why_not

__all__ = ["EpisodeTrials"]

_FEW = 15
"""Up to this many candidates at a moment, making and checking a process that can be put back takes
more processor time than it saves: on cologne1, the two ways are even at thirteen."""
_LIMIT_S = 600.0
_log = structlog.get_logger(__name__)


@dataclass
class EpisodeTrials:
    """Tries candidates of one episode."""

    handle: SimulationHandle
    """The episode's process."""
    fork_server: ForkServer
    """The fork server that started it."""
    check_every: int | None = 200
    """Of so many that are restored, and of each moment, one is done by a fork as well. None:
    nothing is restored."""
    restored: int = 0
    """Number of candidates done so far in a process that was put back."""
    checks: int = 0
    """Number of requests in which some candidates were repeated by a fork, with equal results."""
    _is_kept: bool = False
    _moment_s: float = float("-inf")
    _tried: int = 0
    _tried_before: int = 0

    def run(self, request: Try, moment_s: float) -> tuple[Trial, ...]:
        """The results of candidates at the current moment, in order.

        Args:
            request: How to try them.
            moment_s: The current moment, in seconds of simulated time.

        Raises:
            HolderLost: The process died.
        """
        self._count(len(request.candidates), moment_s)
        if self._is_worth_it(request):
            if not self._is_kept:
                self.fork_server.keep(self.handle)
                self._is_kept = True
            request = request.model_copy(update={"check_every": self.check_every})
        tried = self.handle.call(request, Tried, request.limit_s + _LIMIT_S)
        self._heed(tried)
        return tried.trials

    def of_fork(self, handle: SimulationHandle) -> "EpisodeTrials":
        """The trials of an episode that was forked from this one."""
        return replace(self, handle=handle, restored=0, checks=0, _is_kept=False)

    def _count(self, candidates: int, moment_s: float) -> None:
        if moment_s != self._moment_s:
            self._moment_s, self._tried_before, self._tried = moment_s, self._tried, 0
        self._tried += candidates

    def _is_worth_it(self, request: Try) -> bool:
        """Whether this moment will have candidates enough: it has them, or the last one had."""
        if self.check_every is None or request.at_once > 1:
            return False
        return max(self._tried, self._tried_before) > _FEW and why_not() is None

    def _heed(self, tried: Tried) -> None:
        """Restores nothing any more where a restored candidate differed, or it cannot be had."""
        self.restored += tried.restored
        self.checks += tried.check == "equal"
        if tried.check == "different":
            _log.error(
                "restored_trial_differs",
                doubtful=tried.doubtful,
                consequence="these candidates are done again by forks, and all after them; "
                "`doubtful` earlier ones of this episode were answered since the last good check",
            )
            self.check_every = None
        elif "given_up" in tried.not_restored:
            _log.warning("trials_forked", reasons=tried.not_restored)
            self.check_every = None
