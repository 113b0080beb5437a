"""What a curriculum shows of itself at every step: its weights, its batch, rewards by both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.curriculum.batches import Curriculum
from trainer.curriculum.buckets import LEVELS, Level

__all__ = ["DOMAIN_COLUMN", "LEVEL_COLUMN", "CurriculumMetrics"]

DOMAIN_COLUMN, LEVEL_COLUMN = "curriculum_domain", "curriculum_level"
"""What every row of a run with a curriculum holds beside its own columns."""


@dataclass(frozen=True)
class CurriculumMetrics:
    """The metrics of a batch on one rank; TRL takes the mean over ranks.

    | metric | |
    |---|---|
    | ``curriculum/weight/<level>`` | what the schedule says for the step, a share |
    | ``curriculum/share/<level>`` | what the batch holds: differs where a bucket is empty |
    | ``curriculum/prompts/<domain>`` | prompts in the batch, of all ranks |
    | ``reward_by_level/<level>`` | mean weighted reward of what did not fail |
    | ``reward_by_domain/<domain>`` | the same |
    """

    curriculum: Curriculum
    num_generations: int
    """Completions per prompt."""
    ranks: int = 1

    def of(self, totals: Sequence[float | None], columns: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of one batch.

        Args:
            totals: The weighted reward of each completion; None where it failed.
            columns: What TRL hands to a reward function: the rows' columns, ``trainer_state``.
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
    """The mean of what did not fail under each key; a key of which all failed has none."""
    by_key: dict[str, list[float]] = {}
    for key, total in zip(keys, totals, strict=True):
        if total is not None:
            by_key.setdefault(key, []).append(total)
    return {f"{name}/{key}": sum(found) / len(found) for key, found in by_key.items()}
