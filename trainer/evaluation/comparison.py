"""Two policies on the same decision points, pair by pair."""

from collections.abc import Sequence

from shared.model import WireModel
from trainer.evaluation.bootstrap import Bootstrap, Estimate
from trainer.evaluation.figures import Observation

__all__ = ["PairedComparison", "compared"]


class PairedComparison(WireModel):
    """A policy's regret compared with another's, in vehicles; an invalid answer counts as the
    worst decision of its point.

    Paired intervals are narrower than the policies' own intervals suggest: points that are hard
    for both cancel out.
    """

    policy: str
    """The policy that it is compared with."""
    points: int
    """Decision points that both were judged on."""
    difference_veh: Estimate
    """Mean regret minus the other's; below 0 is better."""
    ratio: Estimate | None
    """Mean regret divided by the other's; below 1 is better. Null if undefined."""


def compared(
    observations: Sequence[Observation], name: str, others: Sequence[Observation], by: Bootstrap
) -> PairedComparison | None:
    """Compares a policy with another one; None if no point was judged for both.

    Args:
        observations: What became of the policy's answers.
        name: The other policy's.
        others: What became of the other's answers.
        by: How intervals are made.
    """
    own, theirs = _regrets_veh(observations), _regrets_veh(others)
    places = [place for place in own if place in theirs]
    if not places:
        return None
    values = [own[place][1] for place in places]
    reference = [theirs[place][1] for place in places]
    runs = [own[place][0] for place in places]
    gaps = [value - other for value, other in zip(values, reference, strict=True)]
    difference = by.estimate(gaps, runs)
    assert difference is not None  # noqa: S101 - there are places
    return PairedComparison(
        policy=name,
        points=len(places),
        difference_veh=difference,
        ratio=by.ratio(values, reference, runs),
    )


def _regrets_veh(observations: Sequence[Observation]) -> dict[object, tuple[str, float]]:
    """For each point its run, and the mean regret of the answers to it, in vehicles."""
    found: dict[object, tuple[str, list[float]]] = {}
    for one in observations:
        if one.status in ("scored", "invalid"):
            _, regrets = found.setdefault(one.judged.point.place, (one.run, []))
            regrets.append(one.regret_veh)
    return {place: (run, sum(regrets) / len(regrets)) for place, (run, regrets) in found.items()}
