"""Signals in numbers: features as a vector, decisions as indices, and which are legal.

Under ``phase`` an action is the index of a green among the greens of the signal's program, in the
program's order, as in sumo-rl. Under ``extend`` 0 ends the green and 1 extends it.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import RewardsMissing
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeDecision,
    ExtendControl,
    ExtendGreen,
    ShowPhase,
    SignalObservation,
    StepAnswer,
)

__all__ = ["SignalCode", "rewards_of"]

_SHOWN = re.compile(r"phase(\d+)_shown")
_FLAGS = ("_shown", "_legal", "is_open")
_EXTEND, _END = 1, 0


@dataclass(frozen=True)
class SignalCode:
    """How one signal is told in numbers."""

    names: tuple[str, ...]
    """Of the features, in order; the table is in ``docs/closed-loop.md``."""
    greens: tuple[int, ...] | None
    """The phase of each action; None: the actions are to end and to extend the green."""

    @classmethod
    def of(cls, seen: SignalObservation, control: EpisodeControl) -> "SignalCode":
        """That of a signal whose features are observed."""
        assert seen.features is not None, "they are always asked for"  # noqa: S101
        names = tuple(seen.features)
        shown = (_SHOWN.fullmatch(name) for name in names)
        greens = tuple(int(found[1]) for found in shown if found)
        return cls(names, None if isinstance(control, ExtendControl) else greens)

    @property
    def actions(self) -> int:
        """How many there are."""
        return 2 if self.greens is None else len(self.greens)

    @property
    def high(self) -> NDArray[np.float32]:
        """The greatest value of each feature; the least is 0."""
        is_flag = [name.endswith(_FLAGS) for name in self.names]
        return np.where(is_flag, 1.0, math.inf).astype(np.float32)

    def vector(self, seen: SignalObservation) -> NDArray[np.float32]:
        """The features, a new array each time."""
        assert seen.features is not None, "they are always asked for"  # noqa: S101
        return np.array([seen.features[name] for name in self.names], dtype=np.float32)

    def mask(self, seen: SignalObservation) -> NDArray[np.int8]:
        """1 for each action that may be taken; never all zeros.

        Where nothing is legal the signal goes on whatever is done, and the action that says so is
        the only one.
        """
        mask = np.zeros(self.actions, dtype=np.int8)
        for decision in seen.legal:
            mask[self._action(decision)] = 1
        if not seen.legal:
            mask[self._go_on(seen)] = 1
        return mask

    def decision(self, action: int, seen: SignalObservation) -> EpisodeDecision | None:
        """What an action decides; None where nothing is legal.

        One that is not legal is decided all the same: the episode finds it invalid, and says why.
        """
        if not seen.legal:
            return None
        if self.greens is not None:
            return ShowPhase(next_phase=self.greens[action])
        return ExtendGreen(extend=action == _EXTEND)

    def _action(self, decision: EpisodeDecision) -> int:
        if isinstance(decision, ExtendGreen):
            return _EXTEND if decision.extend else _END
        assert self.greens is not None, "phases are decided under phase"  # noqa: S101
        return self.greens.index(decision.next_phase)

    def _go_on(self, seen: SignalObservation) -> int:
        if self.greens is None:
            return _EXTEND
        return self.greens.index(seen.current_phase) if seen.current_phase in self.greens else 0


def rewards_of(answer: StepAnswer) -> dict[str, float]:
    """Each signal's reward for the step.

    Raises:
        RewardsMissing: One is undefined; there is no number to put in its place.
    """
    known = {tls_id: value for tls_id, value in answer.rewards.items() if value is not None}
    missing = sorted(answer.rewards.keys() - known.keys())
    if missing:
        raise RewardsMissing(
            f"the reward of signal {missing[0]} is undefined for the step that ended at "
            f"{answer.time_s:g} s: speed has no value while no vehicle is on the signal's lanes; "
            "choose another reward"
        )
    return known
