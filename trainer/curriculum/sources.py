"""Reads samples from datasets, and from folders of planning problems."""

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.curriculum.buckets import GradedSample
from trainer.curriculum.difficulty import problem_sample, samples_of, settled, warn_of_unreadable

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["dataset_samples", "samples_under"]

_COLUMNS = ("difficulty", "scenario", "problem_file", "state_id", "prompt")


def dataset_samples(dataset: "Dataset") -> list[GradedSample]:
    """The rows of a dataset, in order."""
    named = [name for name in _COLUMNS if name in dataset.column_names]
    return samples_of(dataset.select_columns(named).to_list())


def samples_under(path: Path) -> list[GradedSample]:
    """The training rows that :func:`trainer.load_grpo_dataset` reads, or ``*.pddl`` problems.

    Args:
        path: A file or a folder. If it contains planning problems, at any depth, those are read;
            ``domain.pddl`` files do not count as problems.

    Raises:
        DatasetError: It contains neither.
    """
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    problems = sorted(
        file for file in files if file.suffix == ".pddl" and file.name != "domain.pddl"
    )
    if path.exists() and problems:
        names = [str(file) for file in problems]
        samples = settled([problem_sample(name) for name in names], names)
        warn_of_unreadable(samples, names)
        return samples
    from trainer.data.prompts import load_grpo_dataset

    return dataset_samples(load_grpo_dataset(path))
