"""Candidates at one moment of an episode, one after another in a process that is put back.

With many of them, it costs less than a fork each; see
:mod:`sim_workers.engine.rollouts.processes`. Some are done by forks as well. If one differs, all
that were requested with it are repeated by forks, and everything after it is done by forks, too.
"""

import time
from collections.abc import Callable, Mapping

from shared.errors import RolloutTimeout
from shared.wire.episodes import EpisodeDecision
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Trial, Tried, Try
from sim_workers.engine.messages import REPLY, Failed
from sim_workers.engine.rollouts.processes import RolloutProcesses

__all__ = ["RestoredTrials"]


_STOPPED = ("rollout_timeout", "cancelled", "rollout_crashed")
"""Codes of failures that are not the candidate's fault."""


class _Differs(Exception):
    """A restored candidate's result differs from that of a fork."""


class RestoredTrials:
    """Tries candidates in the processes of a holder.

    Args:
        processes: The holder's processes.
        fork: Tries all candidates of a request by forks.
    """

    def __init__(self, processes: RolloutProcesses, fork: Callable[[Try], Tried]) -> None:
        self._processes = processes
        self._fork = fork
        self._unchecked = 0
        """Results restored since the last check that passed."""

    def run(self, request: Try) -> Tried:
        """Tries a request's candidates; restores if the request asks for it and this holder can.

        Raises:
            EOFError: The peer has gone away.
        """
        began_s = time.monotonic()
        if request.check_every is None or not self._processes.is_restoring:
            return self._fork(request)
        answered, self._checked, self._restored = self._unchecked, False, 0
        try:
            trials = tuple(
                self._trial(candidate, request, began_s) for candidate in request.candidates
            )
        except _Differs:
            self._processes.stop_restoring()
            left_s = max(0.0, began_s + request.limit_s - time.monotonic())
            forked = self._fork(request.model_copy(update={"limit_s": left_s}))
            told = {"check": "different", "doubtful": answered}
            return forked.model_copy(update=told | {"not_restored": self._processes.reasons()})
        return Tried(
            trials=trials,
            wall_s=time.monotonic() - began_s,
            restored=self._restored,
            not_restored=self._processes.reasons(),
            check="equal" if self._checked else None,
        )

    def _trial(
        self, candidate: Mapping[str, EpisodeDecision], request: Try, began_s: float
    ) -> Trial:
        left_s = began_s + request.limit_s - time.monotonic()
        if left_s <= 0:
            words = "the candidates took too long and were stopped"
            return Trial(error=ErrorInfo.of(RolloutTimeout(words)))
        one = request.model_copy(update={"candidates": (candidate,), "limit_s": left_s})
        data = one.model_dump_json().encode()
        reply = self._processes.restored(data, one)
        if reply is None:
            return _told(self._processes.forked(data, one))
        self._restored += 1
        self._unchecked += 1
        trial, every = _told(reply), request.check_every or 1
        if self._processes.restored_here == 1 or self._unchecked >= every:
            self._check(trial, data, one)
        return trial

    def _check(self, trial: Trial, data: bytes, one: Try) -> None:
        """Repeats a candidate by a fork, unless it was stopped and there is nothing to compare."""
        forked = _told(self._processes.forked(data, one))
        if _is_stopped(trial) or _is_stopped(forked):
            return
        if forked != trial:
            raise _Differs
        self._checked, self._unchecked = True, 0


def _told(reply: bytes) -> Trial:
    answer = REPLY.validate_json(reply)
    if isinstance(answer, Failed):
        return Trial(error=answer.error)
    assert isinstance(answer, Tried), "it was asked for a candidate"  # noqa: S101
    return answer.trials[0]


def _is_stopped(trial: Trial) -> bool:
    return trial.error is not None and trial.error.code in _STOPPED
