"""What learns from the outcomes directly: how much can be known from a prompt, and how little.

Gradient-boosted trees, which read the numbers of the prompt and nothing else, say how many of the
best decisions a prompt allows. A policy that only sees which green is shown cannot count: what a
model gains over it, it gains by reading how many vehicles there are.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.decisions import Extend
from shared.language.prompts import Junction, read_prompt
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Worth

__all__ = ["ByPhase", "GradientBoosting", "advantage_of_yes", "features"]

_PHASES = 4
"""Phases that a row of features has room for; junctions with fewer leave the rest empty."""


@dataclass(frozen=True)
class GradientBoosting:
    """Scikit-learn's ``HistGradientBoostingRegressor`` on how much better *yes* is than *no*.

    It minimises the squared error of that difference of rewards, so points where much depends on
    the decision weigh most, as they do in the regret.

    Args:
        trained_on: Decision points whose outcomes are known; they ask for *extend*.
        seed: Of the trees.
    """

    trained_on: tuple[Judged, ...]
    seed: int = 0

    @property
    def name(self) -> str:
        """For tables."""
        return "gradient-boosting"

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """*Yes* where it is expected to be no worse."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        usable = [one for one in self.trained_on if not math.isnan(advantage_of_yes(one.worth))]
        trees: Any = HistGradientBoostingRegressor(
            max_iter=150,
            learning_rate=0.05,
            max_leaf_nodes=15,
            min_samples_leaf=20,
            random_state=self.seed,
        )
        trees.fit(
            [features(one.point) for one in usable],
            [advantage_of_yes(one.worth) for one in usable],
        )
        found = trees.predict([features(one.point) for one in judged])
        progress(self.name, len(judged), len(judged))
        return [
            [PolicyAnswer(Extend(extend=bool(gain >= 0), extend_s=one.point.extend_s))]
            for gain, one in zip(found, judged, strict=True)
        ]


def features(point: DecisionPoint) -> list[float]:
    """The numbers of a prompt: the current phase's, the strongest other's, and the others in order.

    Phases come in the order of the program from the current one on, so that the same situation at
    another phase gives the same row. What is not there is -1.
    """
    junction = read_prompt(point.prompt)
    phases = _from_current(junction)
    own, *others = [(one.queued, one.approaching, one.passed) for one in phases]
    queued = max((one[0] for one in others), default=0)
    vehicles = max((one[0] + one[1] for one in others), default=0)
    row = [
        junction.elapsed_green,
        junction.max_green - junction.elapsed_green,
        own[0] - queued,
        own[0] + own[1] - vehicles,
        sum(one[0] + one[1] for one in others),
        len(phases),
        junction.current_phase,
        *own,
    ]
    row += [number for one in others[: _PHASES - 1] for number in one]
    room = 10 + 3 * (_PHASES - 1)
    return [float(number) for number in row] + [-1.0] * (room - len(row))


def _from_current(junction: Junction) -> list[Any]:
    order = sorted(junction.phases)
    start = order.index(junction.current_phase)
    return [junction.phases[phase] for phase in order[start:] + order[:start]]


def advantage_of_yes(worth: Worth) -> float:
    """The reward of *yes* minus that of *no*; NaN where one of them is not known."""
    by_answer = {
        one.decision.extend: one.reward
        for one in worth.decisions
        if isinstance(one.decision, Extend)
    }
    return by_answer.get(True, math.nan) - by_answer.get(False, math.nan)


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
