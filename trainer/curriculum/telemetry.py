"""The metrics of a curriculum at every step: its weights, its batch, and rewards by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.curriculum.batches import Curriculum
from trainer.curriculum.buckets import LEVELS, Level

__all__ = ["DOMAIN_COLUMN", "LEVEL_COLUMN", "CurriculumMetrics"]

DOMAIN_COLUMN, LEVEL_COLUMN = "curriculum_domain", "curriculum_level"
"""The columns that a run with a curriculum adds to every row."""


@dataclass(frozen=True)
class CurriculumMetrics:
    """The metrics of a batch on one rank; TRL takes the mean over ranks.

    | metric | |
    |---|---|
    | ``curriculum/weight/<level>`` | the schedule's weight for the step, as a share |
    | ``curriculum/share/<level>`` | the share in the batch; differs if a bucket is empty |
    | ``curriculum/prompts/<domain>`` | prompts in the batch, over all ranks |
    | ``reward_by_level/<level>`` | mean weighted reward of completions that did not fail |
    | ``reward_by_domain/<domain>`` | the same, by domain |
    """

    curriculum: Curriculum
    num_generations: int
    """Completions per prompt."""
    ranks: int = 1

    def of(self, totals: Sequence[float | None], columns: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of one batch.

        Args:
            totals: The weighted reward of each completion; None if it failed.
            columns: The arguments that TRL passes to a reward function: the rows' columns and
                ``trainer_state``.
        """
        levels: Sequence[Level] = columns[LEVEL_COLUMN]
        domains: Sequence[str] = columns[DOMAIN_COLUMN]
        weights = self.curriculum.weights(columns["trainer_state"].global_step)
        found = {f"curriculum/weight/{level}": weights[level] for level in LEVELS}
        for level in LEVELS:
            found[f"curriculum/share/{level}"] = list(levels).count(level) / len(levels)
        for bucket in self.curriculum.buckets:
            here = list(domains).count(bucket.domain)
            prompts = here * self.ranks / self.num_generations
            found[f"curriculum/prompts/{bucket.domain}"] = prompts
        found |= _means("reward_by_level", levels, totals)
        return found | _means("reward_by_domain", domains, totals)


def _means(name: str, keys: Sequence[str], totals: Sequence[float | None]) -> dict[str, float]:
    """The mean of the values that did not fail, by key; keys without any are left out."""
    by_key: dict[str, list[float]] = {}
    for key, total in zip(keys, totals, strict=True):
        if total is not None:
            by_key.setdefault(key, []).append(total)
    return {f"{name}/{key}": sum(found) / len(found) for key, found in by_key.items()}
