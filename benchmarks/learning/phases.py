"""A policy that cannot count: the answer that was better on average for the green that is shown.

What a model gains over it, it gains by reading how many vehicles there are.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.learning.boosting import advantage_of_yes
from shared.decisions import Extend
from shared.language.prompts import read_prompt
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress

__all__ = ["ByPhase"]


@dataclass(frozen=True)
class ByPhase:
    """*Yes* where *yes* was better in sum, over all training points with this green shown.

    Args:
        trained_on: Decision points whose outcomes are known; they ask for *extend*.
    """

    trained_on: tuple[Judged, ...]

    @property
    def name(self) -> str:
        """For tables."""
        return "by-phase"

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The same answer wherever the same green is shown; *no* for a green never seen."""
        gains: defaultdict[tuple[str, int], float] = defaultdict(float)
        for one in self.trained_on:
            gain = advantage_of_yes(one.worth)
            if not math.isnan(gain):
                gains[_green(one)] += gain
        progress(self.name, len(judged), len(judged))
        return [
            [PolicyAnswer(Extend(extend=gains[_green(one)] > 0, extend_s=one.point.extend_s))]
            for one in judged
        ]


def _green(one: Judged) -> tuple[str, int]:
    return one.point.domain, read_prompt(one.point.prompt).current_phase
