"""Everything that can be found wrong before a model is loaded, and the queries of a run."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from shared.errors import ConfigError, DatasetError
from trainer.models.loading import Hardware, check_model, pick_hardware
from trainer.offline.candidates import CandidateGroup, load_candidates
from trainer.offline.levels import group_advantages
from trainer.offline.report import AdvantageSpread
from trainer.offline.settings import OfflineConfig
from trainer.offline.soundness import check_differences, check_soundness
from trainer.runs.origin import check_origin
from trainer.runs.startup import check_report_to, checkpoint_of

__all__ = ["Prepared", "Resume", "newest_checkpoint", "prepare_offline", "spread_of"]

StageName = Literal["rce", "grpo"]
_STAGES: tuple[StageName, ...] = ("grpo", "rce")
"""The later one first."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Resume:
    """What a run goes on from."""

    stage: StageName
    checkpoint: Path


@dataclass(frozen=True)
class Prepared:
    """What a run needs, checked."""

    train: list[CandidateGroup]
    validation: list[CandidateGroup]
    train_advantages: list[list[float]]
    validation_advantages: list[list[float]]
    hardware: Hardware
    resume: Resume | None

    @property
    def candidates(self) -> int:
        """Of the training queries."""
        return sum(len(group.candidates) for group in self.train)


def prepare_offline(config: OfflineConfig) -> Prepared:
    """Checks paths and hardware, reads the candidates, and splits them.

    Raises:
        DatasetError: Candidates are missing, wrong, or too few to hold some out.
        ModelError: The model is missing.
        ConfigError: Settings do not fit the machine, the output folder is of another run, or a
            checkpoint of another model.
    """
    check_report_to(config.report_to)
    check_model(config.model_path)
    resume = _resume(config)
    if resume is not None:
        check_origin(resume.checkpoint, config)
    hardware = pick_hardware(config.for_loading)
    train, validation = _split(config)
    _log.info("learning rate", peak=config.peak_rate, origin=config.rate_origin)
    weights, is_pooled = config.level_weights, config.scale_rewards == "dataset"
    advantages = group_advantages([group.scored for group in train], weights, is_pooled)
    check_differences(advantages, config.beam_data)
    return Prepared(
        train,
        validation,
        advantages,
        group_advantages([group.scored for group in validation], weights, is_pooled),
        hardware,
        resume,
    )


def spread_of(advantages: Sequence[Sequence[float]]) -> AdvantageSpread:
    """How advantages are spread.

    >>> spread_of([[-1.0, 1.0], [0.0, 0.0]]).zero_share
    0.5
    """
    flat = [advantage for group in advantages for advantage in group]
    lower, median, upper = statistics.quantiles(flat, n=4, method="inclusive")
    return AdvantageSpread(
        least=min(flat),
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        greatest=max(flat),
        zero_share=flat.count(0.0) / len(flat),
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps in a stage's folder; None where there is none."""
    try:
        return checkpoint_of("latest", str(folder))
    except ConfigError:
        return None


def _split(config: OfflineConfig) -> tuple[list[CandidateGroup], list[CandidateGroup]]:
    """The training and the validation queries."""
    groups = _loaded(config.beam_data, config)
    order = random.Random(config.seed)  # noqa: S311 - not for secrets
    if config.max_samples is not None and config.max_samples < len(groups):
        kept = sorted(order.sample(range(len(groups)), config.max_samples))
        groups = [groups[row] for row in kept]
    if config.validation_data is not None:
        return groups, _loaded(config.validation_data, config)
    count = round(config.validation_share * len(groups))
    if config.validation_share > 0 and not 0 < count < len(groups):
        raise DatasetError(
            f"{len(groups)} queries are too few to hold {config.validation_share:.0%} out; give "
            "more, or set validation_share: 0"
        )
    held = set(order.sample(range(len(groups)), count))
    return (
        [group for row, group in enumerate(groups) if row not in held],
        [group for row, group in enumerate(groups) if row in held],
    )


def _loaded(path: str, config: OfflineConfig) -> list[CandidateGroup]:
    groups = load_candidates(path, config.reward_name)
    check_soundness(groups)
    return groups


def _resume(config: OfflineConfig) -> Resume | None:
    wanted, root = config.resume_from_checkpoint, Path(config.output_dir)
    found = [
        Resume(stage, checkpoint)
        for stage in _STAGES
        if (checkpoint := newest_checkpoint(root / stage)) is not None
    ]
    if wanted is None:
        if found:
            raise ConfigError(
                f"{root} holds the checkpoints of another run: go on from them with "
                "resume_from_checkpoint: latest, or choose another output_dir"
            )
        return None
    if wanted == "latest":
        if not found:
            raise ConfigError(f"resume_from_checkpoint: no checkpoint in {root}")
        return found[0]
    path = Path(wanted)
    stage = next((stage for stage in _STAGES if path.parent.name == stage), None)
    if stage is None or not (path / "trainer_state.json").is_file():
        raise ConfigError(
            f"resume_from_checkpoint: {wanted!r} is not a checkpoint of a stage, as "
            f"{root / 'grpo' / 'checkpoint-8'}"
        )
    return Resume(stage, path)
