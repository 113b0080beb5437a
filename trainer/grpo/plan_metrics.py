"""The metrics of a batch of plans: what the plans came to, whatever reward trains the model."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from trainer.curriculum.telemetry import DOMAIN_COLUMN, LEVEL_COLUMN
from trainer.grpo.batch_scorer import ScoredBatch

__all__ = ["plan_metrics"]

_SHARES = {
    "plans/success": "is_valid",
    "plans/goals_share": "goals_share",
    "plans/executable_share": "executable_share",
}


def plan_metrics(scored: Sequence[ScoredBatch], columns: Mapping[str, Any]) -> dict[str, float]:
    """The means over the sampled plans that were judged; an invalid answer counts as 0.

    | metric | |
    |---|---|
    | ``plans/success`` | share of valid plans |
    | ``plans/goals_share``, ``plans/executable_share`` | as in :mod:`planning.verdicts` |
    | ``plans/length`` | steps / those of the reference plan, over valid plans |
    | ``plans/success_by_domain/<domain>``, ``plans/success_by_level/<level>`` | |

    Args:
        scored: What became of each completion.
        columns: The rows' columns, as TRL passes them to a reward function.

    Returns:
        Nothing if no completion has the metrics of a plan.
    """
    known = [(place, one) for place, one in enumerate(scored) if one.status != "failed"]
    if not any("is_valid" in one.metrics for _, one in known):
        return {}
    found = {
        metric: fmean(one.metrics.get(name) or 0.0 for _, one in known)
        for metric, name in _SHARES.items()
    }
    references = columns.get("plan_steps") or [None] * len(scored)
    lengths = [
        (one.metrics.get("steps") or 0.0) / references[place]
        for place, one in known
        if one.metrics.get("is_valid") and references[place]
    ]
    if lengths:
        found["plans/length"] = fmean(lengths)
    for kind, column in (("domain", DOMAIN_COLUMN), ("level", LEVEL_COLUMN)):
        groups: dict[str, list[float]] = {}
        for place, one in known if column in columns else ():
            valid = one.metrics.get("is_valid") or 0.0
            groups.setdefault(columns[column][place], []).append(valid)
        found |= {f"plans/success_by_{kind}/{name}": fmean(groups[name]) for name in sorted(groups)}
    return found
