"""Turns answers into figures: what became of each, and means over them with intervals."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from shared.decisions import Decision, Extend
from shared.errors import InvalidDecision
from shared.legality import check_legality
from shared.model import WireModel
from trainer.evaluation.bootstrap import Bootstrap, Estimate
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Valued

__all__ = ["Figures", "Observation", "observed", "summarised"]


@dataclass(frozen=True)
class Observation:
    """What became of one answer."""

    judged: Judged
    status: Literal["scored", "invalid", "unscored", "failed"]
    """``unscored``: breaks no known rule, but is not among the stored outcomes, and there was no
    service to ask."""
    chosen: Valued | None = None
    """Set if it is scored."""
    decision: Decision | None = None
    code: str | None = None
    """Why it is invalid or failed."""
    is_strict: bool | None = None

    @property
    def run(self) -> str:
        """The simulation run that its state is from."""
        return self.judged.point.run

    @property
    def is_best(self) -> bool:
        """Whether no known decision is better; False if the answer is invalid."""
        return self.chosen is not None and self.judged.worth.regret(self.chosen) <= 0

    @property
    def regret(self) -> float:
        """Regret of the chosen decision, in the reward's unit; the worst if none was chosen."""
        worth = self.judged.worth
        return worth.worst_regret if self.chosen is None else worth.regret(self.chosen)

    @property
    def regret_veh(self) -> float:
        """The same in vehicles."""
        worth = self.judged.worth
        return worth.gap_veh if self.chosen is None else worth.regret_veh(self.chosen)


class Figures(WireModel):
    """Means over some answers; null if there is nothing to average."""

    points: int
    runs: int
    answers: int
    scored: int
    invalid: dict[str, int]
    """Answers from which no legal decision can be read, by reason."""
    unscored: int
    """Legal as far as the dataset says, but not among the stored outcomes: left out of every mean
    but ``yes`` and ``strict``."""
    failed: dict[str, int]
    """Decisions that could not be rolled out, by reason: left out of every mean but ``yes``
    and ``strict``."""
    regret: Estimate | None
    """In the reward's unit, over scored answers."""
    regret_veh: Estimate | None
    """Vehicles, over scored answers."""
    regret_invalid_worst: Estimate | None
    """``regret`` over scored and invalid answers: an invalid one counts as the worst legal
    decision of its point."""
    regret_veh_invalid_worst: Estimate | None
    """The same for ``regret_veh``."""
    agreement: Estimate | None
    """Share of scored and invalid answers that no known decision beats."""
    agreement_clear: Estimate | None
    """The same over the points whose decisions differ by more than ``min_gap_veh``."""
    yes: Estimate | None
    """Share of *yes* among the *extend* decisions, whether they were scored or not."""
    invalid_share: Estimate | None
    """Share of invalid answers among scored and invalid ones."""
    strict: Estimate | None
    """Share of texts that are exactly the JSON asked for; null for policies that write none."""


def observed(judged: Judged, choice: PolicyAnswer) -> Observation:
    """What is known about an answer without asking the service.

    An answer that breaks a rule of its signal is invalid, with the code of
    :mod:`shared.legality`, provided that the point describes its signal.

    Args:
        judged: The point.
        choice: The answer.
    """
    seen = partial(Observation, judged, is_strict=choice.is_strict)
    if choice.decision is None:
        return seen("invalid", code=choice.code or "invalid")
    if (chosen := judged.worth.find(choice.decision)) is not None:
        return seen("scored", chosen, choice.decision)
    if (code := _broken_rule(choice.decision, judged.point)) is not None:
        return seen("invalid", code=code)
    return seen("unscored", decision=choice.decision)


def summarised(
    observations: Sequence[Observation], bootstrap: Bootstrap, min_gap_veh: float
) -> Figures:
    """The figures of some answers.

    Args:
        observations: Any number.
        bootstrap: How intervals are made.
        min_gap_veh: A point whose decisions lead to queues that differ by no more than this,
            vehicles, is left out of ``agreement_clear``.
    """

    def mean(of: Callable[[Observation], float], over: Iterable[Observation]) -> Estimate | None:
        chosen = list(over)
        return bootstrap.estimate([of(one) for one in chosen], [one.run for one in chosen])

    scored = [one for one in observations if one.status == "scored"]
    judged = [one for one in observations if one.status in ("scored", "invalid")]
    clear = [one for one in judged if one.judged.worth.gap_veh > min_gap_veh]
    return Figures(
        points=len({one.judged.point.place for one in observations}),
        runs=len({one.run for one in observations}),
        answers=len(observations),
        scored=len(scored),
        invalid=_codes(observations, "invalid"),
        unscored=sum(one.status == "unscored" for one in observations),
        failed=_codes(observations, "failed"),
        regret=mean(lambda one: one.regret, scored),
        regret_veh=mean(lambda one: one.regret_veh, scored),
        regret_invalid_worst=mean(lambda one: one.regret, judged),
        regret_veh_invalid_worst=mean(lambda one: one.regret_veh, judged),
        agreement=mean(lambda one: one.is_best, judged),
        agreement_clear=mean(lambda one: one.is_best, clear),
        yes=mean(_is_yes, (one for one in observations if isinstance(one.decision, Extend))),
        invalid_share=mean(lambda one: one.status == "invalid", judged),
        strict=mean(
            lambda one: one.is_strict is True,
            (one for one in observations if one.is_strict is not None),
        ),
    )


def _broken_rule(decision: Decision, point: DecisionPoint) -> str | None:
    """The code of the rule that a decision breaks; None if it breaks no known rule."""
    if point.signal is None or point.signal_state is None:
        return None
    try:
        check_legality(decision, point.signal, point.signal_state)
    except InvalidDecision as exc:
        return exc.code
    return None


def _codes(
    observations: Sequence[Observation], status: Literal["invalid", "failed"]
) -> dict[str, int]:
    counts = Counter(one.code or status for one in observations if one.status == status)
    return dict(counts.most_common())


def _is_yes(one: Observation) -> bool:
    return isinstance(one.decision, Extend) and one.decision.extend
