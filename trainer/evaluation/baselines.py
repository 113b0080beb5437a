"""Policies without a model: constants, chance, rules that read the prompt, and the oracle."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from shared.decisions import Decision, Extend, canonical
from shared.errors import ConfigError, DatasetError
from shared.language.prompts import LaneCounts, read_prompt
from shared.signals import Phase
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress
from trainer.evaluation.points import DecisionPoint, vehicles_on_lanes

__all__ = ["BASELINES", "RULES", "Baseline", "BaselineName", "applicable", "keeps_green"]

BaselineName = Literal[
    "always-yes",
    "always-no",
    "random",
    "longest-queue",
    "most-vehicles",
    "max-pressure",
    "oracle",
]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)

_OF_ANY_KIND: frozenset[BaselineName] = frozenset({"random", "oracle"})


@dataclass(frozen=True)
class Baseline:
    """A policy without a model.

    | name | decision |
    |---|---|
    | ``always-yes``, ``always-no`` | the same everywhere |
    | ``random`` | any legal decision, all equally likely; reproducible by seed |
    | ``longest-queue`` | *yes* while no other green has more queued vehicles |
    | ``most-vehicles`` | *yes* while no other green has more vehicles, queued and approaching |
    | ``max-pressure`` | *yes* while no other green has more pressure |
    | ``oracle`` | the best known decision: a look-ahead over the horizon of the rollouts |

    The pressure of a phase is the number of vehicles on its incoming lanes minus the number on its
    outgoing lanes: Varaiya (2013), "Max pressure control of a network of signalized
    intersections".
    """

    name: BaselineName
    seed: int = 0

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """One decision per point.

        Raises:
            ConfigError: It decides *extend* only, and a point asks for something else.
            DatasetError: The data that it reads is missing.
        """
        choices = []
        for number, one in enumerate(judged, start=1):
            choices.append([PolicyAnswer(self._decide(one))])
            progress(self.name, number, len(judged))
        return choices

    def _decide(self, judged: Judged) -> Decision:
        if self.name == "oracle":
            return judged.worth.best.decision
        if self.name == "random":
            return self._pick(judged)
        point = judged.point
        if point.place.decision_kind != "extend":
            raise ConfigError(
                f"the baseline {self.name} only supports extend, but {point.name} asks for "
                f"{point.place.decision_kind}; use {' or '.join(sorted(_OF_ANY_KIND))}"
            )
        return Extend(extend=RULES[self.name](point), extend_s=point.extend_s)

    def _pick(self, judged: Judged) -> Decision:
        """Depends only on the seed and the place, not on the order of points or decisions."""
        place = judged.point.place
        coin = random.Random(f"{self.seed}/{place.state_id}/{place.tls_id}")  # noqa: S311 - no secret
        return coin.choice(sorted((one.decision for one in judged.worth.decisions), key=canonical))


def applicable(points: Sequence[DecisionPoint]) -> tuple[BaselineName, ...]:
    """The baselines that can decide at every one of these points."""
    if all(point.place.decision_kind == "extend" for point in points):
        return BASELINES
    return tuple(name for name in BASELINES if name in _OF_ANY_KIND)


def keeps_green(phase: int, strength: Mapping[int, int]) -> bool:
    """Whether no other green is stronger than the current one; a tie keeps it.

    Args:
        phase: The current green, a key of ``strength``.
        strength: Strength by green phase.

    >>> keeps_green(0, {0: 3, 2: 4}), keeps_green(0, {0: 4, 2: 4})
    (False, True)
    """
    return strength[phase] >= max(strength.values())


def _by_counts(point: DecisionPoint, weigh: Callable[[LaneCounts], int]) -> bool:
    junction = read_prompt(point.prompt)
    weighed = {phase: weigh(count) for phase, count in junction.phases.items()}
    if junction.current_phase not in weighed:
        raise DatasetError(f"the prompt of {point.name} does not list the current phase")
    return keeps_green(junction.current_phase, weighed)


def _max_pressure(point: DecisionPoint) -> bool:
    """Reads the state file, because the prompt does not show a phase's outgoing lanes."""
    if point.greens is None:
        raise DatasetError(
            f"max-pressure needs the lanes of {point.name}, which its dataset's manifest does not "
            "list"
        )
    vehicles = vehicles_on_lanes(point.state_file)
    junction = read_prompt(point.prompt)
    for phase, green in point.greens.items():
        _check_same(point, phase, green, junction.phases.get(phase), vehicles)
    pressures = {
        phase: sum(vehicles[lane] for lane in green.green_lanes)
        - sum(vehicles[lane] for lane in green.exit_lanes)
        for phase, green in point.greens.items()
    }
    return keeps_green(junction.current_phase, pressures)


def _check_same(
    point: DecisionPoint,
    phase: int,
    green: Phase,
    said: LaneCounts | None,
    vehicles: Counter[str],
) -> None:
    """Checks that state file and prompt agree: both count the same vehicles at the same time."""
    counted = sum(vehicles[lane] for lane in green.green_lanes)
    if said is None or said.queued + said.approaching != counted:
        raise DatasetError(
            f"{point.state_file} has {counted} vehicles on the lanes of phase {phase}, but the "
            f"prompt says otherwise: the dataset was modified"
        )


RULES: dict[BaselineName, Callable[[DecisionPoint], bool]] = {
    "always-yes": lambda _: True,
    "always-no": lambda _: False,
    "longest-queue": lambda point: _by_counts(point, lambda count: count.queued),
    "most-vehicles": lambda point: _by_counts(point, lambda one: one.queued + one.approaching),
    "max-pressure": _max_pressure,
}
"""For each rule and constant: whether it extends the green at a decision point."""
