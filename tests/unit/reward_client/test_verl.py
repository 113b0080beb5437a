"""The reward functions for verl, called the way verl calls them.

Told again here in our words: ``get_custom_reward_fn`` of ``verl/trainer/ppo/reward.py``,
``NaiveRewardManager.run_single`` of ``verl/experimental/reward_loop/reward_manager/naive.py`` and
``BatchRewardManager.verify`` of ``verl/workers/reward_manager/batch.py``, verl-project/verl at
1dda039b9c6311889a9c9a26040677e1254814f9.
"""

import importlib
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from reward_client import RetryPolicy, RewardClient, SyncRewardClient, verl
from shared.errors import (
    ConfigError,
    InvalidRequest,
    RolloutRejected,
    ServiceRefused,
    ServiceUnreachable,
    WorkerLost,
)
from tests.unit.reward_client.fake_service import Answer, Handler, Service, Waits, problem

ROW = {"state_id": "s@1-aaaaaaaaaaaa", "tls_id": "C", "decision_kind": "extend"}
YES = '{"extend": "yes"}'
KWARGS: dict[str, object] = {"url": "http://service", "horizon_s": 30, "reward": "queue"}


def answering(*statuses: str, code: str = "worker_lost", retryable: bool = False) -> Handler:
    """Scores items one by one with 0.5, or as told: invalid with -1, failed with null."""

    def handle(request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)["items"]
        told = [*statuses, *["scored"] * len(sent)][: len(sent)]
        error = {"code": code, "message": "m", "retryable": retryable}
        rewards = {"scored": 0.5, "invalid": -1.0, "failed": None}
        results = [
            {"id": None, "status": status, "reward": rewards[status]}
            | ({} if status == "scored" else {"error": error})
            for status in told
        ]
        counts = {s: told.count(s) for s in rewards} | {"cached": 0, "rollouts": 0}
        body = {"results": results, "counts": counts, "simulator": {"version": "1"}}
        return httpx.Response(200, json=body)

    return handle


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Puts a scripted service behind every URL; closes the clients that wait in the end."""
    made: list[SyncRewardClient] = []

    def begin(*script: Answer | Handler) -> Service:
        service = Service(*script)
        retry, transport = RetryPolicy(sleep=Waits()), httpx.MockTransport(service)

        def blocking(url: str, key: SecretStr | None) -> SyncRewardClient:
            made.append(SyncRewardClient(url, key, None, retry, transport))
            return made[-1]

        monkeypatch.setattr(verl, "SyncRewardClient", blocking)
        monkeypatch.setattr(
            verl, "RewardClient", partial(RewardClient, retry=retry, transport=transport)
        )
        verl._waiting.cache_clear()
        verl._CLIENTS.clear()
        return service

    yield begin
    for client in made:
        client.close()
    verl._waiting.cache_clear()


def loaded(
    name: str = "compute_score", changes: Mapping[str, object] | None = None
) -> Callable[..., Any]:
    """What verl makes of the configuration: the function with its keywords in it."""
    function = getattr(importlib.import_module("pkg://reward_client.verl"[6:]), name)
    given = KWARGS | dict(changes or {})

    async def with_keywords(raw: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await raw(*args, **(kwargs | given))

    if inspect.iscoroutinefunction(function):
        wrapped = partial(with_keywords, function)
        assert inspect.iscoroutinefunction(wrapped), "verl then awaits it"
        return wrapped
    return partial(lambda raw, **kwargs: raw(**(kwargs | given)), function)


async def run_single(
    compute_score: Callable[..., Any], text: str, truth: object = ROW, **router: object
) -> dict[str, Any]:
    """One completion through the reward manager ``naive``."""
    result = await compute_score(
        data_source="greenfork",
        solution_str=text,
        ground_truth=truth,
        extra_info={"num_turns": None, "rollout_reward_scores": {}},
        **router,
    )
    return {"reward_score": result["score"], "reward_extra_info": dict(result)}


@pytest.mark.parametrize("truth", [ROW, json.dumps(ROW), ROW | {"difficulty": 0.5}])
async def test_one_completion(serve: Callable[..., Service], truth: object) -> None:
    """The score, under the terms of the configuration; nothing but numbers beside it."""
    service = serve(answering())
    output = await run_single(loaded(), YES, truth)
    assert output["reward_score"] == 0.5
    assert output["reward_extra_info"] == {"score": 0.5, "invalid": 0.0, "cached": 0.0}
    body = json.loads(service.requests[0].content)
    assert body["reward"]["name"] == "queue"
    assert body["reward"]["horizon_s"] == 30
    assert body["items"] == [ROW | {"completion": YES}]


async def test_invalid_completion_has_the_same_keys(serve: Callable[..., Service]) -> None:
    """They are stacked over the batch by the keys of the first."""
    serve(answering("invalid"))
    output = await run_single(loaded(), "?")
    assert output["reward_extra_info"] == {"score": -1.0, "invalid": 1.0, "cached": 0.0}


async def test_what_verl_adds_is_passed_over(serve: Callable[..., Service]) -> None:
    """With a reward model beside, it gives its address and tokenizer."""
    serve(answering())
    router = {"reward_router_address": "1.2.3.4:5", "reward_model_tokenizer": object()}
    assert (await run_single(loaded(), YES, **router))["reward_score"] == 0.5


async def test_connections_are_kept(serve: Callable[..., Service]) -> None:
    """One client for all completions of a process."""
    service = serve()
    service.script = [answering(), answering()]
    for _ in range(2):
        await run_single(loaded(), YES)
    assert [list(clients) for clients in verl._CLIENTS.values()] == [["http://service"]]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([answering("failed", code="worker_lost", retryable=True)] * 9, WorkerLost),
        ([answering("failed", code="rollout_rejected")], RolloutRejected),
        ([httpx.ConnectError("refused")] * 9, ServiceUnreachable),
        ([problem(503, "overloaded")] * 9, ServiceUnreachable),
        ([problem(404, "unknown_state")], ServiceRefused),
        ([httpx.Response(200, text="hello")], ServiceRefused),
    ],
)
async def test_failure_is_raised(
    serve: Callable[..., Service], script: list[Answer | Handler], error: type[Exception]
) -> None:
    """Never a zero: verl does not catch it, and the run ends."""
    serve(*script)
    with pytest.raises(error):
        await run_single(loaded(), YES)
    serve(*script)
    with pytest.raises(error):
        verify(loaded("compute_score_batched"), YES, YES)


@pytest.mark.parametrize("truth", ["", "42", None, {}, {"state_id": "s"}])
async def test_ground_truth_that_names_no_situation(
    serve: Callable[..., Service], truth: object
) -> None:
    """Nothing is sent."""
    service = serve()
    with pytest.raises(InvalidRequest, match="ground_truth"):
        await run_single(loaded(), YES, truth)
    assert not service.requests


@pytest.mark.parametrize(
    ("key", "value"), [("horizon", 30), ("horizon_s", 0), ("reward", "luck"), ("url", None)]
)
async def test_configuration_that_is_none(
    serve: Callable[..., Service], key: str, value: object
) -> None:
    """A misspelt keyword is not another reward than the one that was meant."""
    serve()
    with pytest.raises(ConfigError, match="reward_kwargs"):
        await run_single(loaded(changes={key: value}), YES)


async def test_key_comes_from_the_environment(
    serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configurations are logged; it must not be in one."""
    monkeypatch.setenv("GREENFORK_API_KEY", "gfk_x")
    service = serve(answering())
    await run_single(loaded(changes={"url": "http://keyed"}), YES)
    assert service.requests[0].headers["Authorization"] == "Bearer gfk_x"
    assert verl._key() == SecretStr("gfk_x")


def verify(compute_score: Callable[..., Any], *texts: str) -> list[dict[str, float]]:
    """A batch through the reward manager ``batch``."""
    scores: list[dict[str, float]] = compute_score(
        data_sources=["greenfork"] * len(texts),
        solution_strs=list(texts),
        ground_truths=[json.dumps(ROW)] * len(texts),
        extra_infos=[{"rollout_reward_scores": {}}] * len(texts),
    )
    return scores


def test_batch(serve: Callable[..., Service]) -> None:
    """One request, scores in order."""
    service = serve(answering("scored", "invalid"))
    scores = verify(loaded("compute_score_batched"), YES, "?", YES)
    assert [score["score"] for score in scores] == [0.5, -1.0, 0.5]
    assert len(service.requests) == 1


def test_batch_of_which_one_failed(serve: Callable[..., Service]) -> None:
    """All or nothing."""
    serve(answering("scored", "failed"))
    with pytest.raises(WorkerLost):
        verify(loaded("compute_score_batched"), YES, YES)


def test_texts_without_a_truth(serve: Callable[..., Service]) -> None:
    """Nobody is scored with another's label."""
    serve()
    with pytest.raises(ValueError, match="shorter"):
        loaded("compute_score_batched")(
            data_sources=[], solution_strs=[YES, YES], ground_truths=[ROW], extra_infos=[]
        )


async def test_a_problem_of_another_domain(serve: Callable[..., Service]) -> None:
    """It is sent as such, and its reward is the domain's default where none is named."""
    service = serve(answering(), answering())
    truth = {"domain": "planning", "problem_id": "p-1", "plan_steps": 3}
    score = await verl.compute_score("greenfork", "(a)", truth, url="http://service")
    assert score["score"] == 0.5
    sent = json.loads(service.requests[-1].content)
    assert sent["items"] == [{"domain": "planning", "problem_id": "p-1", "completion": "(a)"}]
    assert "name" not in sent["reward"]
    await verl.compute_score(
        "greenfork", "(a)", json.dumps(truth), url="http://service", reward="plan_progress"
    )
    assert json.loads(service.requests[-1].content)["reward"]["name"] == "plan_progress"
