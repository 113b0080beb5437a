"""All checks that are possible before a model is loaded."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import SecretStr

from reward_client import RetryPolicy, RewardClient
from shared.decisions import Extend
from shared.errors import ConfigError, ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from shared.wire.info import ServiceInfo
from shared.wire.scoring import DomainItem, Item, ScoreItem
from trainer.curriculum.plan import batch_shape, check_curriculum
from trainer.data.prompts import (
    REQUIRED_COLUMNS,
    as_asked,
    check_difficulties,
    load_grpo_dataset,
    prompt_extend_s,
)
from trainer.data.rows import SOLVE, without_reserved
from trainer.environment import check_report_to
from trainer.grpo.config import GRPOTrainingConfig
from trainer.models.loading import check_model, pick_hardware
from trainer.runs.origin import check_origin
from trainer.runs.resumption import RunRecord, check_resumed
from trainer.runs.startup import checkpoint_of, warn_of_warmup
from trainer.runs.training_run import PreparedRun

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Preflight", "check_run", "connect"]

_RANGES: Mapping[str, tuple[float, float]] = {
    "queue": (-inf, 0),
    "queue_gain": (-1, 1),
    "wait": (-inf, 0),
    "pressure": (-inf, 0),
    "speed": (0, inf),
    "plan_valid": (0, 1),
    "plan_progress": (0, 1),
    "delay": (-inf, inf),  # above 0 where vehicles are faster than allowed, as after a sign
}
"""The smallest and the largest possible reward."""
_UNKNOWN = (-inf, inf)
"""Of a domain or a metric that a package has added."""

_MAX_LISTED_STATES = 50_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Preflight(PreparedRun):
    """The checked inputs of a GRPO run."""

    dataset: "Dataset"
    service: ServiceInfo


def check_run(config: GRPOTrainingConfig) -> Preflight:
    """Checks paths, hardware and the reward service.

    Raises:
        DatasetError: The dataset is missing or invalid.
        ModelError: The model is missing.
        ConfigError: Settings do not fit the machine, the dataset, the checkpoint, or each other:
            for example, a batch cannot contain the same number of samples from every domain.
        ServiceUnreachable: Nothing answers at the reward URL.
        ServiceRefused: The service cannot score the dataset's states.
    """
    check_report_to(config.report_to)
    check_model(config.model_path)
    checkpoint = checkpoint_of(config.resume_from_checkpoint, config.output_dir)
    check_origin(checkpoint, config)
    _check_invalid_reward(config)
    dataset = without_reserved(load_grpo_dataset(config.dataset_path))
    _say_fidelity(config, dataset)
    columns = zip(*(dataset[name] for name in REQUIRED_COLUMNS), strict=True)
    record = RunRecord.of(config.to_dict(), columns)
    applied = check_resumed(checkpoint, record, config.resume_changes)
    _check_extend_seconds(config)
    if config.curriculum:
        check_difficulties(config.dataset_path)
        check_curriculum(config, dataset)
    warn_of_warmup(_steps(config, len(dataset)), config.warmup_steps)
    hardware = pick_hardware(config)
    service = asyncio.run(_check_service(config, dataset))
    prompts = as_asked(dataset, config.prompt_form, config.prompt_examples)
    return Preflight(
        dataset=prompts,
        hardware=hardware,
        service=service,
        checkpoint=checkpoint,
        record=record,
        applied=applied,
    )


def connect(config: GRPOTrainingConfig) -> RewardClient:
    """A client of the reward service, which connects on first use."""
    key = SecretStr(config.reward_api_key) if config.reward_api_key else None
    return RewardClient(config.reward_url, key, retry=RetryPolicy(retries=config.reward_retries))


def _steps(config: GRPOTrainingConfig, rows: int) -> int:
    """Optimizer steps of a run, if all prompts fit."""
    a_pass = max(1, rows // max(1, batch_shape(config).prompts)) * config.num_iterations
    return config.max_steps or ceil(config.num_train_epochs * a_pass)


def _check_invalid_reward(config: GRPOTrainingConfig) -> None:
    """Warns if an invalid answer may get a higher reward than most decisions."""
    if _least(config.reward) < config.invalid_reward and not config.invalid_as_worst:
        log.warning(
            "invalid answers may get higher rewards than decisions; set invalid_as_worst: true",
            reward_name=config.reward_name,
            invalid_reward=config.invalid_reward,
        )


def _say_fidelity(config: GRPOTrainingConfig, dataset: "Dataset") -> None:
    """Warns if rewards are not verified to match the user's own simulation."""
    has_kinds = "decision_kind" in dataset.column_names
    if has_kinds and SOLVE in set(dataset["decision_kind"]):
        return  # plans are judged, not simulated
    named = "fidelity" in dataset.column_names
    found = Counter((each or "bundle") for each in dataset["fidelity"]) if named else Counter()
    found["bundle"] += len(dataset) - found.total()
    others = {kind: count for kind, count in found.items() if count and kind != "own"}
    if others:
        log.warning(
            "rewards are not verified to match your own simulation; rebuild the dataset, or "
            "run greenfork dataset verify DATASET --config YOUR.sumocfg",
            dataset=config.dataset_path,
            rows=len(dataset),
            **others,
        )
    elif config.reward.seeds:
        log.warning(
            "rewards for seeds other than the run's come from simulations that were never "
            'compared with your own: they say "fidelity": "unchecked"',
            seeds=list(config.reward.seeds),
        )


def _least(reward: RewardSpec) -> float:
    """The lower bound of the reward; a negative weight reverses the range of its term.

    >>> _least(RewardSpec(name="sum", terms={"queue_gain": 2, "queue": -1}))
    -2.0
    """
    if reward.terms is None:
        return _RANGES.get(reward.name, _UNKNOWN)[0]
    ends = (
        weight * _RANGES.get(name, _UNKNOWN)[weight < 0]
        for name, weight in reward.terms.items()
        if weight
    )
    return float(sum(ends))


def _check_extend_seconds(config: GRPOTrainingConfig) -> None:
    said = prompt_extend_s(config.dataset_path)
    if said is not None and said != config.extend_seconds:
        raise ConfigError(
            f"extend_seconds is {config.extend_seconds}, but the prompts in "
            f"{config.dataset_path} say {said}; set extend_seconds: {said}"
        )


async def _check_service(config: GRPOTrainingConfig, dataset: "Dataset") -> ServiceInfo:
    """Checks that the service answers, can score a state, and has all states of the dataset."""
    row = dataset[0]
    item = _first_item(row)
    async with connect(config) as client:
        try:
            info = await client.info()
            response = await client.score([item], config.reward, config.reward_timeout_s)
            of_traffic = [
                state
                for state, kind in zip(dataset["state_id"], dataset["decision_kind"], strict=True)
                if kind != SOLVE
            ]
            unknown = await _unknown_states(client, info, of_traffic)
        except ServiceUnreachable as exc:
            raise ServiceUnreachable(
                f"{exc.message}. Start the reward service (greenfork serve --dataset …) or set "
                "reward_url",
                exc.code,
            ) from exc
    result = response.results[0]
    if result.status == "failed":
        reason = f"{result.error.code}: {result.error.message}" if result.error else "no reason"
        raise ServiceRefused(
            f"{config.reward_url} could not score the dataset's first row ({reason})"
        )
    if unknown:
        raise ServiceRefused(
            f"{config.reward_url} does not serve {len(unknown)} of the dataset's states, the first "
            f"is {unknown[0]!r}; serve the dataset that contains the rows",
            "unknown_state",
        )
    return info


def _first_item(row: Mapping[str, Any]) -> Item:
    """What shows that a row can be scored: a decision, or an answer that is none."""
    if row["decision_kind"] == SOLVE:
        return DomainItem(domain=row["tls_id"], problem_id=row["state_id"], completion="")
    no = Extend(extend=False)
    return ScoreItem(state_id=row["state_id"], tls_id=row["tls_id"], decision=no)


async def _unknown_states(
    client: RewardClient, info: ServiceInfo, wanted: Sequence[str]
) -> list[str]:
    """States of the dataset that the service lacks; empty if that cannot be determined."""
    if info.states > _MAX_LISTED_STATES:
        log.info("skipping the check of single states: there are too many", states=info.states)
        return []
    try:
        served = {record.state_id for record in await client.states()}
    except ServiceRefused:  # another service with the same contract need not list its states
        return []
    return [state for state in dict.fromkeys(wanted) if state not in served]
