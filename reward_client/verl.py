"""Reward functions for verl, which calls a function of the user's for every completion.

``reward.custom_reward_function.path=pkg://reward_client.verl``; verl itself is not imported.
Read from https://github.com/verl-project/verl/blob/1dda039b9c6311889a9c9a26040677e1254814f9/
``verl/trainer/ppo/reward.py`` (``get_custom_reward_fn``) and ``verl/experimental/reward_loop/``;
``compute_score_batched`` from ``verl/workers/reward_manager/batch.py``.

A reward that could not be computed is raised, never returned: verl then ends the run. Its reward
manager ``rate_limited`` makes 0.0 of what is raised, and must not be used.
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
from shared.language.completion_items import Situation
from shared.validation import request_error
from shared.wire.scoring import ScoreItem, ScoreResult
from shared.wire.trainer_terms import TrainerTerms

__all__ = ["VerlScore", "VerlTerms", "compute_score", "compute_score_batched"]

VerlScore = dict[str, float]
"""``score``, the reward; ``invalid`` and ``cached``, 0 or 1, which verl averages and logs."""

_MAX_WAITING = 64
"""Completions of one process that are being scored at a time."""


class VerlTerms(TrainerTerms):
    """What ``reward.custom_reward_function.reward_kwargs`` may hold.

    An API key is taken from the environment, ``GREENFORK_API_KEY``.
    """

    url: str
    """The reward service."""


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
        data_source: The dataset's name; not looked at.
        solution_str: The completion.
        ground_truth: What the prompt was about: an object or JSON text with ``state_id``,
            ``tls_id`` and ``decision_kind``.
        extra_info: Not looked at.
        reward_router_address: Not looked at.
        reward_model_tokenizer: Not looked at.
        terms: See :class:`VerlTerms`.

    Raises:
        ConfigError: ``terms`` has an unknown key, or a value out of bounds.
        InvalidRequest: ``invalid_label``: the ground truth names no situation.
        ServiceError: The service does not answer, or refuses the request.
        RolloutError: The reward could not be computed, retries included.
    """
    wanted = _terms(terms)
    item = Situation.read(ground_truth, "ground_truth").item(solution_str, wanted.extend_s)
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
    """The rewards of a batch, for the reward manager ``batch`` of verl's earlier versions.

    Args:
        data_sources: As in :func:`compute_score`, one per completion, and so are the others.
        solution_strs: The completions.
        ground_truths: What their prompts were about.
        extra_infos: Not looked at.
        terms: See :class:`VerlTerms`.

    Raises:
        ConfigError, InvalidRequest, ServiceError, RolloutError: As :func:`compute_score` does, for
            any of them: there is no way to leave one out.
    """
    wanted = _terms(terms)
    items: list[ScoreItem] = [
        Situation.read(truth, f"ground_truths[{row}]").item(text, wanted.extend_s)
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
    """One client a URL, and another one in a forked process."""
    return SyncRewardClient(url, _key())


def _key() -> SecretStr | None:
    key = os.environ.get("GREENFORK_API_KEY")
    return SecretStr(key) if key else None
