"""The checks that need no loaded model, and the queries of a run."""

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from shared.errors import ConfigError, DatasetError
from trainer.environment import check_report_to
from trainer.models.loading import check_model, pick_hardware
from trainer.offline.candidates import Candidate, CandidateGroup, load_candidates
from trainer.offline.config import OfflineConfig
from trainer.offline.levels import group_advantages
from trainer.runs.origin import check_origin
from trainer.runs.reports import AdvantageSpread
from trainer.runs.resumption import RunRecord, check_resumed
from trainer.runs.startup import checkpoint_of, of_another_run
from trainer.runs.training_run import PreparedRun

__all__ = [
    "PreparedOffline",
    "StageName",
    "check_differences",
    "check_soundness",
    "newest_checkpoint",
    "prepare_offline",
    "record_of",
    "resumed_from",
    "split_groups",
    "spread_of",
]

StageName = Literal["sft", "rce", "grpo"]
_STAGES: tuple[StageName, ...] = ("grpo", "rce", "sft")
"""The later one first."""

_Config = TypeVar("_Config", bound=OfflineConfig)
_Group = TypeVar("_Group", bound=CandidateGroup)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class PreparedOffline(PreparedRun):
    """Everything that an offline run needs, checked."""

    train: Sequence[CandidateGroup]
    validation: Sequence[CandidateGroup]
    train_advantages: list[list[float]]
    validation_advantages: list[list[float]]
    stage: StageName | None
    """The stage of the checkpoint that the run resumes from."""

    @property
    def candidates(self) -> int:
        """The number of candidates of the training queries."""
        return sum(len(group.candidates) for group in self.train)


def prepare_offline(config: OfflineConfig) -> PreparedOffline:
    """Checks paths and hardware, reads the candidates, and splits them.

    Raises:
        DatasetError: Candidates are missing, invalid, or too few to hold some out.
        ModelError: The model is missing.
        ConfigError: Settings do not suit the machine, the output folder belongs to another run,
            or a checkpoint to another model.
    """
    check_report_to(config.report_to)
    check_model(config.model_path)
    stage, checkpoint = resumed_from(config)
    check_origin(checkpoint, config)
    hardware = pick_hardware(config.for_loading)
    train, validation = split_groups(config, _loaded)
    record = record_of(config, [*train, *validation])
    applied = check_resumed(checkpoint, record, config.resume_changes, "beam_data")
    _log.info("learning rate", peak=config.peak_rate, origin=config.rate_origin)
    weights, is_pooled = config.level_weights, config.scale_rewards == "dataset"
    advantages = group_advantages([group.scored for group in train], weights, is_pooled)
    check_differences(advantages, config.beam_data)
    return PreparedOffline(
        train=train,
        validation=validation,
        train_advantages=advantages,
        validation_advantages=group_advantages(
            [group.scored for group in validation], weights, is_pooled
        ),
        hardware=hardware,
        checkpoint=checkpoint,
        stage=stage,
        record=record,
        applied=applied,
    )


def record_of(config: OfflineConfig, groups: Sequence[CandidateGroup], *more: str) -> RunRecord:
    """What checkpoints say of the run; the rate is the one that is trained with.

    Args:
        config: The settings.
        groups: Of training and validation.
        *more: Digests of what else is trained on.
    """
    rows = [
        [one.prompt, [[c.text, c.tokens, *astuple(c.scored)] for c in one.candidates]]
        for one in groups
    ] + [[digest] for digest in more]
    return RunRecord.of(config.to_dict() | {"learning_rate": config.peak_rate}, rows)


def spread_of(advantages: Sequence[Sequence[float]]) -> AdvantageSpread:
    """The spread of the advantages.

    >>> spread_of([[-1.0, 1.0], [0.0, 0.0]]).zero_share
    0.5
    """
    import numpy as np

    flat = [advantage for group in advantages for advantage in group]
    least, lower, median, upper, greatest = np.quantile(flat, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return AdvantageSpread(
        least=least,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        greatest=greatest,
        zero_share=flat.count(0.0) / len(flat),
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps in a stage's folder; None if there is none."""
    try:
        return checkpoint_of("latest", str(folder))
    except ConfigError:
        return None


def split_groups(
    config: _Config, load: Callable[[str, _Config], list[_Group]]
) -> tuple[list[_Group], list[_Group]]:
    """The training and the validation queries.

    Args:
        config: The settings.
        load: Reads the queries of a file.

    Raises:
        DatasetError: There are too few to hold some out.
    """
    groups = load(config.beam_data, config)
    order = random.Random(config.seed)  # noqa: S311 - not for secrets
    if config.max_samples is not None and config.max_samples < len(groups):
        kept = sorted(order.sample(range(len(groups)), config.max_samples))
        groups = [groups[row] for row in kept]
    if config.validation_data is not None:
        return groups, load(config.validation_data, config)
    count = round(config.validation_share * len(groups))
    if config.validation_share > 0 and not 0 < count < len(groups):
        raise DatasetError(
            f"{len(groups)} queries are too few to hold out {config.validation_share:.0%}; provide "
            "more, or set validation_share: 0"
        )
    held = set(order.sample(range(len(groups)), count))
    return (
        [group for row, group in enumerate(groups) if row not in held],
        [group for row, group in enumerate(groups) if row in held],
    )


def _loaded(path: str, config: OfflineConfig) -> list[CandidateGroup]:
    groups = load_candidates(path, config.reward_name, config.token_ids)
    check_soundness(groups)
    return groups


def resumed_from(config: OfflineConfig) -> tuple[StageName | None, Path | None]:
    """The stage and the checkpoint that a run goes on from.

    Raises:
        ConfigError: There is no such checkpoint, or the folder is of another run.
    """
    wanted, root = config.resume_from_checkpoint, Path(config.output_dir)
    found = [
        (stage, checkpoint)
        for stage in _STAGES
        if (checkpoint := newest_checkpoint(root / stage)) is not None
    ]
    if wanted is None:
        if found:
            raise of_another_run(config.output_dir)
        return None, None
    if wanted == "latest":
        if not found:
            raise ConfigError(f"resume_from_checkpoint: no checkpoint in {root}")
        return found[0]
    path = Path(wanted)
    stage = next((stage for stage in _STAGES if path.parent.name == stage), None)
    if stage is None or not (path / "trainer_state.json").is_file():
        raise ConfigError(
            f"resume_from_checkpoint: {wanted!r} is not a checkpoint of a stage, such as "
            f"{root / 'grpo' / 'checkpoint-8'}"
        )
    return stage, checkpoint_of(wanted, str(root))


def check_soundness(groups: Sequence[CandidateGroup]) -> None:
    """Refuses candidates that contradict each other, and logs which queries teach little.

    Args:
        groups: The queries of a file.

    Raises:
        DatasetError: A query lists the same candidate twice with different scores.
    """
    repeated = sum(_has_repeated(group) for group in groups)
    equal = sum(_is_equal(group) for group in groups)
    if equal:
        _log.warning(
            "queries whose candidates have equal scores teach nothing",
            queries=equal,
            of=len(groups),
        )
    if repeated:
        _log.warning(
            "queries contain a candidate more than once, so it counts more; remove duplicates",
            queries=repeated,
            of=len(groups),
        )


def check_differences(advantages: Sequence[Sequence[float]], path: str) -> None:
    """Refuses training queries if none of them has candidates that differ.

    Args:
        advantages: Advantages of the candidates of all training queries.
        path: The file, for the message.

    Raises:
        DatasetError: All advantages are 0.
    """
    if not any(any(group) for group in advantages):
        raise DatasetError(
            f"{path}: all candidates of every query have the same score, so there is nothing to "
            "learn; score them by their outcomes"
        )


def _has_repeated(group: CandidateGroup) -> bool:
    """Whether a group lists a candidate more than once, each time with the same score."""
    scores: dict[Hashable, float] = {}
    for number, one in enumerate(group.candidates, start=1):
        score = one.scored.score
        if scores.setdefault(_said(one), score) != score:
            raise DatasetError(
                f"{group.where}: candidate {number} is a duplicate with a different score "
                f"({scores[_said(one)]:g}, then {score:g}); give it once, with the mean"
            )
    return len(scores) < len(group.candidates)


def _is_equal(group: CandidateGroup) -> bool:
    """Whether no score or figure tells the candidates apart."""
    return len({(one.score, one.task) for one in group.scored}) == 1


def _said(candidate: Candidate) -> Hashable:
    return candidate.text if candidate.tokens is None else candidate.tokens
