"""A run's curriculum, made from its settings and its rows."""

import math
from typing import TYPE_CHECKING

from shared.errors import DatasetError
from trainer.curriculum.batches import BatchShape, Curriculum, check_balance, check_plenty
from trainer.curriculum.buckets import DomainBuckets, buckets_of
from trainer.curriculum.sources import dataset_samples
from trainer.curriculum.telemetry import DOMAIN_COLUMN, LEVEL_COLUMN, CurriculumMetrics
from trainer.environment import world_size
from trainer.grpo.config import GRPOTrainingConfig

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["batch_shape", "check_curriculum", "check_domains", "plan_curriculum", "with_groups"]


def check_curriculum(config: GRPOTrainingConfig, dataset: "Dataset") -> None:
    """Checks, before a model is loaded, that the batches can be balanced.

    Raises:
        ConfigError: They cannot; the message names batch sizes that can.
        DatasetError: A domain has fewer rows than a step takes from it.
    """
    shape, buckets = batch_shape(config), buckets_of(dataset_samples(dataset))
    check_balance(shape, len(buckets))
    check_plenty(shape, buckets)


def check_domains(config: GRPOTrainingConfig, all_rows: "Dataset", fitting: "Dataset") -> None:
    """Checks that leaving out rows with prompts that are too long loses no domain.

    Args:
        config: The settings.
        all_rows: All rows of the dataset.
        fitting: The rows that are left.

    Raises:
        DatasetError: A domain has no rows left, or fewer than a step takes from it.
    """
    buckets = buckets_of(dataset_samples(fitting))
    left = {one.domain for one in buckets}
    lost = [d.domain for d in buckets_of(dataset_samples(all_rows)) if d.domain not in left]
    if lost:
        room = config.max_seq_length - config.max_new_tokens
        raise DatasetError(
            f"every prompt of {', '.join(map(repr, lost))} is longer than max_seq_length - "
            f"max_new_tokens = {room} tokens, and each step needs every domain: raise "
            "max_seq_length, or leave its rows out"
        )
    check_plenty(batch_shape(config), buckets)


def plan_curriculum(
    config: GRPOTrainingConfig, dataset: "Dataset"
) -> "tuple[Curriculum, Dataset, CurriculumMetrics]":
    """The batches of a run, the rows with their domains and levels as columns, and its metrics.

    If ``max_steps`` is not set, the run has as many steps as ``num_train_epochs`` passes over the
    rows would have without a curriculum.

    Args:
        config: The settings.
        dataset: The rows to train on; the batches hold their positions.

    Raises:
        ConfigError: The batches cannot be balanced.
    """
    shape, buckets = batch_shape(config), buckets_of(dataset_samples(dataset))
    check_balance(shape, len(buckets))
    steps_an_epoch = max(1, len(dataset) // shape.prompts)
    max_steps = config.max_steps or math.ceil(config.num_train_epochs * steps_an_epoch)
    curriculum = Curriculum(
        buckets, shape.prompts, max_steps, config.seed, config.curriculum_schedule
    )
    metrics = CurriculumMetrics(curriculum, shape.num_generations, shape.ranks)
    return curriculum, _labelled(dataset, buckets), metrics


def with_groups(dataset: "Dataset") -> "Dataset":
    """Rows of planning problems with their domains and levels as columns, for the metrics of a run
    without a curriculum; other rows as they are.
    """
    if "problem_file" not in dataset.column_names:
        return dataset
    return _labelled(dataset, buckets_of(dataset_samples(dataset)))


def batch_shape(config: GRPOTrainingConfig) -> BatchShape:
    """The size of a step, over the ranks started by a launcher (``accelerate launch``)."""
    return BatchShape(
        config.batch_size,
        config.gradient_accumulation_steps,
        config.num_generations,
        world_size(),
    )


def _labelled(dataset: "Dataset", buckets: tuple[DomainBuckets, ...]) -> "Dataset":
    domains, levels = [""] * len(dataset), [""] * len(dataset)
    for bucket in buckets:
        for level, rows in bucket.rows.items():
            for row in rows:
                domains[row], levels[row] = bucket.domain, level
    return dataset.add_column(DOMAIN_COLUMN, domains).add_column(LEVEL_COLUMN, levels)
