"""The settings of a checkpoint's run, compared with those of the run that resumes from it.

Every checkpoint contains ``run.json``. Settings that do not affect learning may differ; a new
``learning_rate`` or ``kl_coeff`` is applied; any other difference is refused unless it is allowed
explicitly, because it would be ignored or would mix two different runs.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import structlog

from shared.errors import ConfigError
from trainer.environment import world_size
from trainer.records import Record

__all__ = ["ALL", "RunRecord", "check_resumed", "digest_of"]

APPLIED = frozenset({"learning_rate", "kl_coeff"})
"""Settings that take effect from the first step after the checkpoint."""

_FREE = frozenset(
    {"output_dir", "resume_from_checkpoint", "resume_changes", "dataset_path", "model_path"}
    | {"beam_data", "validation_data", "rce_epochs", "grpo_epochs", "sft_learning_rate"}
    | {"max_steps", "num_train_epochs", "max_train_s", "logging_steps", "save_steps"}
    | {"save_total_limit", "save_merged", "report_to", "backend", "device", "precision"}
    | {"reward_url", "reward_timeout_s", "reward_retries", "reward_outage_s", "base_path"}
    | {"reward_look_ahead", "failed_share_limit", "failed_window", "gpu_memory_utilization"}
    | {"gradient_checkpointing", "share_prefixes", "check_rows", "lora_rank", "lora_alpha"}
    | {"vllm_mode", "vllm_server_url", "vllm_server_timeout_s", "vllm_group_port", "use_vllm"}
    | {"vllm_tensor_parallel_size", "health_window", "health_invalid_share", "health_kl"}
    | {"health_failed_share", "health_yes_share", "sft_epochs", "pool", "pool_embeddings"}
    | {"run_name", "wandb_project", "wandb_entity"}
    | {"query_embeddings", "validation_embeddings", "token_ids", "best_by"}
)
"""Settings that may differ: how long, where and on what hardware a run continues. Dataset, model
and adapter are compared by content, not by name."""

ALL = "all"

log = structlog.get_logger(__name__)


class RunRecord(Record):
    """The settings of a run and a digest of its rows; earlier versions did not write it."""

    file_name: ClassVar[str] = "run.json"

    settings: dict[str, Any]
    """All settings except secrets, as plain values."""
    dataset: str
    """A digest of the rows."""
    rows: int
    ranks: int = 1

    @classmethod
    def of(cls, settings: Mapping[str, Any], rows: Iterable[object]) -> "RunRecord":
        """The record of the run that is about to begin.

        Args:
            settings: The result of ``to_dict`` of the settings.
            rows: The training data, as JSON values in order.
        """
        digest, count = digest_of(rows)
        return cls(
            settings=json.loads(json.dumps(settings)),
            dataset=digest,
            rows=count,
            ranks=world_size(),
        )


def digest_of(rows: Iterable[object]) -> tuple[str, int]:
    """A digest of JSON values in order, and their number."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        count += 1
    return digest.hexdigest()[:16], count


def check_resumed(
    checkpoint: Path | None, now: RunRecord, allowed: Iterable[str], rows: str = "dataset_path"
) -> frozenset[str]:
    """Checks that a run continues with the settings of its checkpoint, except for permitted
    changes.

    Args:
        checkpoint: The checkpoint to resume from; None if the run starts from scratch.
        now: The record of this run.
        allowed: What may differ: names of settings, the value of ``rows`` for other rows,
            ``ranks``, or ``all``.
        rows: The setting that names the rows.

    Returns:
        The changed settings that take effect.

    Raises:
        ConfigError: Something else differs; the message gives both values and how to allow it.
    """
    if checkpoint is None:
        return frozenset()
    before, may = RunRecord.read(checkpoint), set(allowed)
    if before is None:
        log.info(
            "the checkpoint has no record of its settings; nothing is compared",
            path=str(checkpoint),
        )
        return frozenset()
    different = _changed(before, now)
    applied = frozenset(APPLIED & different)
    for name in sorted(applied):
        was, is_now = before.settings[name], now.settings[name]
        log.info("a changed setting is applied", setting=name, before=was, now=is_now)
    changed = different - APPLIED - _FREE
    said = _differences(before, now, sorted(changed), rows)
    refused = {name: what for name, what in said.items() if not may & {name, ALL}}
    if refused:
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} is from a run with different settings: "
            f"{'; '.join(refused.values())}. Restore them, start from scratch, or resume anyway "
            f"with --set 'resume_changes=[{', '.join(refused)}]'"
        )
    for what in said.values():
        log.warning("resuming with a permitted change", change=what)
    return applied


def _differences(
    before: RunRecord, now: RunRecord, changed: Iterable[str], rows: str
) -> dict[str, str]:
    """In words, by what permits each."""
    said = {n: f"{n} was {before.settings[n]!r}, is {now.settings[n]!r}" for n in changed}
    if before.dataset != now.dataset:
        said[rows] = (
            f"the dataset has different rows ({before.rows} before, {now.rows} now), or another "
            "order"
        )
    if before.ranks != now.ranks:
        said["ranks"] = f"ranks were {before.ranks}, are {now.ranks}"
    return said


def _changed(before: RunRecord, now: RunRecord) -> set[str]:
    """Settings present in both records with different values; newer ones have their default."""
    common = before.settings.keys() & now.settings.keys()
    return {name for name in common if before.settings[name] != now.settings[name]}
