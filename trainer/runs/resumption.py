"""What a checkpoint's run was set to, so that a run which goes on from it means what it says.

Every checkpoint holds ``run.json``. What changes nothing that is learned may differ; a new
``learning_rate`` and a new ``kl_coeff`` are applied; all else is named, and refused unless it is
allowed, for it would be ignored, or make half a run of one kind and half of another.
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
"""What takes effect from the step after the checkpoint on."""

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
    | {"health_failed_share", "health_yes_share"}
)
"""How long, where and on what a run goes on. Dataset, model and adapter are compared by what they
are, and not by their names."""

ALL = "all"

log = structlog.get_logger(__name__)


class RunRecord(Record):
    """What a run was set to, and what it learned from; earlier versions wrote none."""

    file_name: ClassVar[str] = "run.json"

    settings: dict[str, Any]
    """Every setting but secrets, as plain values."""
    dataset: str
    """A digest of the rows."""
    rows: int
    ranks: int = 1

    @classmethod
    def of(cls, settings: Mapping[str, Any], rows: Iterable[object]) -> "RunRecord":
        """That of the run that is about to begin.

        Args:
            settings: As ``to_dict`` of the settings gives them.
            rows: What it learns from, as JSON values in order.
        """
        digest, count = digest_of(rows)
        return cls(
            settings=json.loads(json.dumps(settings)),
            dataset=digest,
            rows=count,
            ranks=world_size(),
        )


def digest_of(rows: Iterable[object]) -> tuple[str, int]:
    """A digest of JSON values in their order, and how many there are."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        count += 1
    return digest.hexdigest()[:16], count


def check_resumed(
    checkpoint: Path | None, now: RunRecord, allowed: Iterable[str], rows: str = "dataset_path"
) -> frozenset[str]:
    """Checks that a run goes on as the one did whose checkpoint it is, but for what may change.

    Args:
        checkpoint: What it goes on from; None where it starts anew.
        now: What it is set to.
        allowed: Names that may differ: of settings, that of ``rows`` for other rows, ``ranks``, or
            ``all``.
        rows: The setting that names the rows.

    Returns:
        The settings that have other values now and take effect.

    Raises:
        ConfigError: Something else differs; the message names it with both values, and the way to
            allow it.
    """
    if checkpoint is None:
        return frozenset()
    before, may = RunRecord.read(checkpoint), set(allowed)
    if before is None:
        log.info("the checkpoint does not say its settings; none is compared", path=str(checkpoint))
        return frozenset()
    different = _changed(before, now)
    applied = frozenset(APPLIED & different)
    for name in sorted(applied):
        was, is_now = before.settings[name], now.settings[name]
        log.info("a changed setting is applied", setting=name, before=was, now=is_now)
    changed = different - APPLIED - _FREE
    said = {n: f"{n} was {before.settings[n]!r}, is {now.settings[n]!r}" for n in sorted(changed)}
    if before.dataset != now.dataset:
        said[rows] = (
            f"the dataset has other rows ({before.rows} before, {now.rows} now), or in another "
            "order"
        )
    if before.ranks != now.ranks:
        said["ranks"] = f"ranks were {before.ranks}, are {now.ranks}"
    refused = {name: what for name, what in said.items() if not may & {name, ALL}}
    if refused:
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} is of a run with other settings: "
            f"{'; '.join(refused.values())}. Set them back, start anew, or go on all the same with "
            f"--set 'resume_changes=[{', '.join(refused)}]'"
        )
    for what in said.values():
        log.warning("the run goes on with a change that was allowed", change=what)
    return applied


def _changed(before: RunRecord, now: RunRecord) -> set[str]:
    """Settings that both have, with other values; one that is new since has its default."""
    common = before.settings.keys() & now.settings.keys()
    return {name for name in common if before.settings[name] != now.settings[name]}
