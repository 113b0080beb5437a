"""A decision at a signal that an episode has controlled through the states of its links.

In a rollout from such a moment no program runs: a green is held, and another one is reached through
the yellow of the episode's control. Follow-ups choose greens as the episode's own rules do:
``greedy`` every ten seconds, as in every rollout, ``max_pressure`` at the intervals of the control.
"""

from collections.abc import Callable, Mapping

import libsumo

from shared.decisions import NextPhase
from shared.errors import RolloutRejected
from shared.rewards import FollowUp
from shared.signals import Program
from shared.wire.episode_control import PhaseControl
from shared.wire.episodes import ShowPhase
from sim_workers.engine.episodes.control import Call, SignalDriver, driver_of
from sim_workers.engine.messages import SignalDecision
from sim_workers.engine.policies import greedy_phase
from sim_workers.engine.readings import pressures, programs_of, vehicles_by_green

__all__ = ["YellowSignal"]

_GREEDY_EVERY_S = 10
_TOLERANCE_S = 1e-6
_WORTHS: Mapping[FollowUp, Callable[[Program], Mapping[int, int]]] = {
    "greedy": vehicles_by_green,
    "max_pressure": pressures,
}
"""What each green is worth to a follow-up that chooses the one with the most."""


class YellowSignal:
    """A signal under a decision and a control with yellow.

    Args:
        decided: The decision, a phase, and the signal's position in its own program.
        control: The episode's control.
        time_s: The time of the state, in seconds.
        follow_up: What takes over after the decision.

    Raises:
        RolloutRejected: ``wrong_kind``: not supported here.
    """

    def __init__(
        self, decided: SignalDecision, control: PhaseControl, time_s: float, follow_up: FollowUp
    ) -> None:
        if not isinstance(decided.decision, NextPhase):
            raise RolloutRejected("this state takes decisions of the kind phase", "wrong_kind")
        self._decision = decided.decision
        self._program = programs_of(decided.tls_id)[decided.program_id]
        self._driver: SignalDriver = driver_of(
            decided.tls_id, self._program, decided.phase, time_s - decided.elapsed_s, control
        )
        self._worth = _WORTHS.get(follow_up)
        self._every_s = _GREEDY_EVERY_S if follow_up == "greedy" else control.interval_s
        self._is_decided = False
        self._due_s = float("inf")
        """When the follow-up decides next, in seconds of simulated time."""

    @property
    def is_silent(self) -> bool:
        """Whether no further command can follow."""
        is_there = self._driver.phase == self._decision.next_phase
        return self._is_decided and is_there and self._worth is None

    def before_step(self, time_s: float) -> None:
        """Sends the signal the commands due now."""
        driver, wanted = self._driver, self._decision.next_phase
        if not self._is_decided and self._may_leave(time_s, wanted):
            self._is_decided = True
            self._show(wanted, time_s)
        self._obey(time_s)
        if self._is_decided and driver.phase == wanted and self._due_s == float("inf"):
            self._due_s = time_s + self._decision.green_s
        if self._worth is not None and time_s >= self._due_s - _TOLERANCE_S:
            self._due_s += self._every_s
            best = greedy_phase(driver.phase, self._worth(self._program))
            if self._may_leave(time_s, best):
                self._show(best, time_s)
                self._obey(time_s)

    def after_step(self, before_s: float) -> None:
        """Records nothing: the signal shows what it was sent."""

    def _may_leave(self, time_s: float, phase: int) -> bool:
        driver = self._driver
        if phase == driver.phase:
            return True
        legal = driver.legal(time_s)
        return ShowPhase(next_phase=phase) in legal

    def _show(self, phase: int, time_s: float) -> None:
        if phase != self._driver.phase:
            self._tell(self._driver.decide(ShowPhase(next_phase=phase), time_s))

    def _obey(self, time_s: float) -> None:
        self._tell(self._driver.before_step(time_s))

    def _tell(self, calls: list[Call]) -> None:
        for call in calls:
            getattr(libsumo.trafficlight, call.name)(self._driver.tls_id, call.argument)
