"""Reward functions for verl, which calls a user-defined function for every completion.

``reward.custom_reward_function.path=pkg://reward_client.verl``; verl itself is not imported.
Read from https://github.com/verl-project/verl/blob/1dda039b9c6311889a9c9a26040677e1254814f9/
``verl/trainer/ppo/reward.py`` (``get_custom_reward_fn``) and ``verl/experimental/reward_loop/``;
``compute_score_batched`` from ``verl/workers/reward_manager/batch.py``.

If a reward cannot be computed, an error is raised, and verl ends the run. Do not use its reward
manager ``rate_limited``, which turns errors into 0.0.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from weakref import WeakKeyDictionary

from pydantic import SecretStr, ValidationError

from reward_client.blocking import SyncRewardClient
from reward_client.client import RewardClient
from shared.errors import ConfigError, WorkerLost
from shared.language.completion_items import situation_of
from shared.validation import request_error
from shared.wire.scoring import Item, ScoreResult
from shared.wire.trainer_terms import TrainerTerms

__all__ = ["VerlScore", "VerlTerms", "compute_score", "compute_score_batched"]

VerlScore = dict[str, float]
"""``score``, the reward; ``invalid`` and ``cached``, 0 or 1, which verl averages and logs."""

_MAX_WAITING = 64
"""Maximum number of concurrent completions per process."""


class VerlTerms(TrainerTerms):
    """The keys of ``reward.custom_reward_function.reward_kwargs``.

    The API key comes from the environment variable ``GREENFORK_API_KEY``.
    """

    url: str
    """URL of the reward service."""


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: object = None,
    reward_router_address: object = None,
    reward_model_tokenizer: object = None,
    **terms: object,
) -> VerlScore:
    """The reward of one completion.

    Args:
        data_source: The dataset's name; ignored.
        solution_str: The completion.
        ground_truth: The decision point of the prompt: an object or JSON text with ``state_id``,
            ``tls_id`` and ``decision_kind``; or its problem: with ``problem_id``.
        extra_info: Ignored.
        reward_router_address: Ignored.
        reward_model_tokenizer: Ignored.
        terms: See :class:`VerlTerms`.

    Raises:
        ConfigError: ``terms`` has an unknown key, or a value out of bounds.
        InvalidRequest: ``invalid_label``: the ground truth is not a decision point.
        ServiceError: The service does not answer, or rejects the request.
        RolloutError: The reward could not be computed, retries included.
    """
    wanted = _terms(terms)
    item = situation_of(ground_truth, "ground_truth").item(solution_str, wanted.extend_s)
    client, slots = _shared(asyncio.get_running_loop(), wanted.url)
    async with slots:
        response = await client.score([item], wanted.spec(), wanted.timeout_s)
    return _score(response.results[0])


def compute_score_batched(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[object],
    extra_infos: Sequence[object],
    **terms: object,
) -> list[VerlScore]:
    """The rewards of a batch, for the reward manager ``batch`` of earlier verl versions.

    Args:
        data_sources: As in :func:`compute_score`; like all others, one per completion.
        solution_strs: The completions.
        ground_truths: The decision points of their prompts.
        extra_infos: Ignored.
        terms: See :class:`VerlTerms`.

    Raises:
        ConfigError, InvalidRequest, ServiceError, RolloutError: As in :func:`compute_score`, if any
            completion fails: a single one cannot be omitted.
    """
    wanted = _terms(terms)
    items: list[Item] = [
        situation_of(truth, f"ground_truths[{row}]").item(text, wanted.extend_s)
        for row, (text, truth) in enumerate(zip(solution_strs, ground_truths, strict=True))
    ]
    response = _waiting(wanted.url, os.getpid()).score(items, wanted.spec(), wanted.timeout_s)
    return [_score(result) for result in response.results]


def _terms(terms: dict[str, object]) -> VerlTerms:
    try:
        return VerlTerms.model_validate(terms)
    except ValidationError as exc:
        raise ConfigError(f"reward_kwargs: {request_error(exc.errors()).message}") from exc


def _score(result: ScoreResult) -> VerlScore:
    if result.reward is None:
        if result.error is None:
            raise WorkerLost("the service returned no reward")
        raise result.error.to_error()
    invalid, cached = float(result.status == "invalid"), float(result.cached)
    return {"score": result.reward, "invalid": invalid, "cached": cached}


_Loop = asyncio.AbstractEventLoop
_Shared = tuple[RewardClient, asyncio.Semaphore]
_CLIENTS: WeakKeyDictionary[_Loop, dict[str, _Shared]] = WeakKeyDictionary()
"""One client per loop and URL: verl calls a bare function, once per completion."""


def _shared(loop: _Loop, url: str) -> _Shared:
    clients = _CLIENTS.setdefault(loop, {})
    if url not in clients:
        clients[url] = RewardClient(url, _key()), asyncio.Semaphore(_MAX_WAITING)
    return clients[url]


@cache
def _waiting(url: str, pid: int) -> SyncRewardClient:
    """One client per URL and process."""
    return SyncRewardClient(url, _key())


def _key() -> SecretStr | None:
    key = os.environ.get("GREENFORK_API_KEY")
    return SecretStr(key) if key else None
