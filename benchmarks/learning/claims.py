"""What has to be reached for the proof to hold, and whether it was."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.learning.judging import RULES
from benchmarks.learning.trainings import CONTROL, WARM_START, grpo_name
from trainer.evaluation.bootstrap import Estimate
from trainer.evaluation.figures import Figures
from trainer.evaluation.report import Evaluation

__all__ = ["Claim", "claims"]

MOST_OF_WARM_START = 0.5
MOST_REGRET_VEH = 0.25
LEAST_AGREEMENT = 0.82
YES_SHARES = (0.20, 0.45)
LEAST_STRICT = 0.98
LEAST_REGRET_OF_CONTROL_VEH = 0.55


@dataclass(frozen=True)
class Claim:
    """One sentence about one policy, and whether the figures bear it out."""

    policy: str
    text: str
    found: float
    is_reached: bool


def claims(evaluation: Evaluation, seeds: tuple[int, ...]) -> list[Claim]:
    """Every claim about every GRPO run, and about the control.

    Regrets count an invalid answer as the worst decision of its point.

    Args:
        evaluation: All of these among its policies, with the rules and the warm start.
        seeds: Of the GRPO runs.
    """
    figures = {one.policy: one.overall for one in evaluation.policies}
    made = [claim for seed in seeds for claim in _learned(figures, grpo_name(seed))]
    regret = _regret(figures[CONTROL])
    text = f"with shuffled rewards the regret stays above {LEAST_REGRET_OF_CONTROL_VEH} vehicles"
    return [*made, Claim(CONTROL, text, regret, regret > LEAST_REGRET_OF_CONTROL_VEH)]


def _learned(figures: dict[str, Figures], name: str) -> Iterator[Claim]:
    own = figures[name]
    regret, share = _regret(own), _regret(own) / _regret(figures[WARM_START])
    yield Claim(
        name,
        f"regret at most {MOST_OF_WARM_START:.0%} of the warm start's",
        share,
        share <= MOST_OF_WARM_START,
    )
    yield Claim(
        name,
        f"regret at most {MOST_REGRET_VEH} vehicles",
        regret,
        regret <= MOST_REGRET_VEH,
    )
    for rule in RULES:
        bound = _regret(figures[rule])
        yield Claim(name, f"regret below that of {rule}, {bound:.3f}", regret, regret < bound)
    agreement = _value(own.agreement_clear)
    yield Claim(
        name,
        f"agreement where clear at least {LEAST_AGREEMENT:.0%}",
        agreement,
        agreement >= LEAST_AGREEMENT,
    )
    low, high = YES_SHARES
    yes = _value(own.yes)
    yield Claim(name, f"yes between {low:.0%} and {high:.0%}", yes, low <= yes <= high)
    strict = _value(own.strict)
    text = f"strict JSON in at least {LEAST_STRICT:.0%} of the answers"
    yield Claim(name, text, strict, strict >= LEAST_STRICT)
    yield Claim(name, "answers left unscored: none", own.unscored, own.unscored == 0)


def _regret(figures: Figures) -> float:
    return _value(figures.regret_veh_invalid_worst)


def _value(estimate: Estimate | None) -> float:
    """The mean; NaN, which reaches nothing, where there is none."""
    return float("nan") if estimate is None else estimate.value
