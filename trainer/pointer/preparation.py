"""Checks everything that can be wrong before a selector is trained, and reads its queries."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from shared.errors import ConfigError, DatasetError
from trainer.environment import check_report_to
from trainer.models.loading import check_model, pick_hardware
from trainer.offline.config import OfflineConfig
from trainer.offline.levels import group_advantages
from trainer.offline.preparation import (
    PreparedOffline,
    check_differences,
    check_soundness,
    record_of,
    resumed_from,
    split_groups,
)
from trainer.pointer.batches import lengths_of
from trainer.pointer.beams import BeamGroup, load_beams
from trainer.pointer.config import PointerConfig
from trainer.pointer.embeddings import Embeddings, read_embeddings, rows_of_queries
from trainer.pointer.pool import Pool, read_pool
from trainer.runs.origin import check_origin
from trainer.runs.resumption import check_resumed

__all__ = ["PreparedPointer", "prepare_pointer"]


@dataclass(frozen=True, kw_only=True)
class PreparedPointer(PreparedOffline):
    """What the training of a selector needs, after all checks."""

    start: PointerConfig
    """The settings with the folder of the selector to train: ``untrained/`` for a new one."""
    pool: Pool
    pool_vectors: Any
    """Embeddings of the pool, (items, candidate_size), float32 in NumPy."""
    query_vectors: Any
    """Embeddings of training and validation queries together, (rows, query_size)."""
    train_rows: list[int]
    validation_rows: list[int]
    length: int
    """Length of the longest selection, including its end if that is a choice."""
    has_end: bool


def prepare_pointer(config: PointerConfig) -> PreparedPointer:
    """Checks paths and hardware, reads pool, embeddings and selections, and splits the queries.

    Raises:
        DatasetError: A file is missing, invalid, or does not match the others.
        ModelError: The selector to start from is missing.
        ConfigError: Settings do not fit the machine, or the output folder belongs to another run.
    """
    check_report_to(config.report_to)
    stage, checkpoint = resumed_from(config)
    start = _start(config, checkpoint)
    if not config.is_new:
        check_model(config.model_path)
    check_origin(checkpoint, start)
    hardware = pick_hardware(config.for_loading)
    pool = read_pool(config.pool)
    items = _items(config.pool_embeddings, pool)
    train, validation = split_groups(config, partial(_load, len(pool)))
    vectors, rows = _rows(config, train, validation)
    record = record_of(config, [*train, *validation], _digest(items.vectors, vectors))
    applied = check_resumed(checkpoint, record, config.resume_changes, "beam_data")
    weights, is_pooled = config.level_weights, config.scale_rewards == "dataset"
    advantages = group_advantages([group.scored for group in train], weights, is_pooled)
    check_differences(advantages, config.beam_data)
    length, has_end = lengths_of([*train, *validation])
    return PreparedPointer(
        train=list(train),
        validation=list(validation),
        train_advantages=advantages,
        validation_advantages=group_advantages(
            [group.scored for group in validation], weights, is_pooled
        ),
        hardware=hardware,
        checkpoint=checkpoint,
        stage=stage,
        record=record,
        applied=applied,
        start=start,
        pool=pool,
        pool_vectors=items.vectors,
        query_vectors=vectors,
        train_rows=rows[: len(train)],
        validation_rows=rows[len(train) :],
        length=length,
        has_end=has_end,
    )


def _start(config: PointerConfig, checkpoint: Path | None) -> PointerConfig:
    """The settings of a run from a selector in a folder, where a new one is saved first."""
    if not config.is_new:
        return config
    root = checkpoint.parents[1] if checkpoint else Path(config.output_dir)
    untrained = root / "untrained"
    if checkpoint is not None and not untrained.is_dir():
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} needs the new selector of its run, but "
            f"{untrained} does not exist; set model_path to the selector it was trained from"
        )
    return config.model_copy(update={"model_path": str(untrained)})


def _load(items: int, path: str, _: OfflineConfig) -> list[BeamGroup]:
    """The selections of a file, out of a pool of so many items."""
    groups = load_beams(path, items)
    check_soundness(groups)
    return groups


def _items(path: str, pool: Pool) -> Embeddings:
    """The embeddings of the pool, in its order."""
    items = read_embeddings(path).checked()
    if len(items.vectors) != len(pool):
        raise DatasetError(
            f"{items.where} has {len(items.vectors)} embeddings, the pool has {len(pool)} items; "
            "embed the pool again, with one row per item in the same order",
            "embeddings_length",
        )
    return items


def _rows(
    config: PointerConfig, train: Sequence[BeamGroup], validation: Sequence[BeamGroup]
) -> tuple[Any, list[int]]:
    """The embeddings of all queries, and the row of each."""
    import numpy as np

    own = read_embeddings(config.query_embeddings).checked()
    if config.validation_data is None or config.validation_embeddings is None:
        names = _in_file_order([*train, *validation])
        rows = dict(zip(names, rows_of_queries(own, names), strict=True))
        return own.vectors, [rows[one.query_id] for one in (*train, *validation)]
    other = read_embeddings(config.validation_embeddings).checked()
    if own.vectors.shape[1] != other.vectors.shape[1]:
        raise DatasetError(
            f"{own.where} has vectors of {own.vectors.shape[1]} numbers, {other.where} of "
            f"{other.vectors.shape[1]}; embed both with the same model",
            "embeddings_length",
        )
    first = rows_of_queries(own, [one.query_id for one in train])
    second = rows_of_queries(other, [one.query_id for one in validation])
    shift = len(own.vectors)
    vectors = np.concatenate([own.vectors, other.vectors])
    return vectors, first + [row + shift for row in second]


def _in_file_order(groups: Sequence[BeamGroup]) -> list[str]:
    """The ids of the queries in their order before the split."""
    return [one.query_id for one in sorted(groups, key=lambda one: one.number)]


def _digest(*arrays: Any) -> str:  # noqa: ANN401
    return hashlib.sha256(b"".join(cast("bytes", a.tobytes()) for a in arrays)).hexdigest()[:16]
