"""Training from easy to hard, over several domains at once.

Pure except for :mod:`trainer.curriculum.sampler`, which is imported only by runs that need it.
"""

from trainer.curriculum.batches import BatchShape, Curriculum, check_balance
from trainer.curriculum.buckets import LEVELS, DomainBuckets, GradedSample, Level, buckets_of
from trainer.curriculum.difficulty import problem_sample, row_sample, samples_of
from trainer.curriculum.schedule import (
    DEFAULT_SCHEDULE,
    CurriculumPhase,
    get_curriculum_weights,
)

__all__ = [
    "DEFAULT_SCHEDULE",
    "LEVELS",
    "BatchShape",
    "Curriculum",
    "CurriculumPhase",
    "DomainBuckets",
    "GradedSample",
    "Level",
    "buckets_of",
    "check_balance",
    "get_curriculum_weights",
    "problem_sample",
    "row_sample",
    "samples_of",
]
