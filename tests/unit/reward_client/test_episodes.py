"""Episodes through the client: repeated without doing anything twice, mapped to own types."""

import json
from collections.abc import Callable

import httpx
import pytest

from reward_client import RetryPolicy, RewardClient, SyncRewardClient
from shared.errors import ServiceRefused
from shared.wire.episodes import EpisodeRequest, ShowPhase, StepAnswer, StepRequest

ANSWER = StepAnswer(episode_id="e1", step=1, time_s=10, signals={}).model_dump_json()
Answer = Callable[[httpx.Request], httpx.Response]


async def _no_sleep(seconds: float) -> None:
    """Retries come at once."""


def client_of(answer: Answer) -> RewardClient:
    """A client of a service that answers so."""
    retry = RetryPolicy(retries=2, sleep=_no_sleep)
    return RewardClient("http://127.0.0.1:1", retry=retry, transport=httpx.MockTransport(answer))


def problem(status: int, code: str) -> httpx.Response:
    """A refusal."""
    body = {"title": "t", "status": status, "detail": "d", "code": code, "retryable": False}
    return httpx.Response(status, json=body)


async def test_a_creation_is_repeated_under_one_key() -> None:
    """So that it is one episode, however often it was sent."""
    keys = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return problem(503, "overloaded") if len(keys) < 3 else httpx.Response(201, text=ANSWER)

    async with client_of(answer) as client:
        begun = await client.create_episode(EpisodeRequest(scenario_id="crossing-0a1b2c3d4e5f"))
        assert begun.episode_id == "e1"
        await client.fork_episode("e1", key="mine")
    assert len(set(keys[:3])) == 1
    assert keys[3] == "mine"


async def test_a_step_is_sent_as_it_is() -> None:
    """Decisions by signal; what SUMO or the order refuses comes back with its code."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert request.url.path == "/v1/episodes/e1/step"
        assert body["decisions"] == {"c": {"kind": "phase", "next_phase": 2}}
        return (
            httpx.Response(200, text=ANSWER) if body["step"] == 0 else problem(409, "step_conflict")
        )

    async with client_of(answer) as client:
        step = StepRequest(step=0, decisions={"c": ShowPhase(next_phase=2)})
        assert (await client.step_episode("e1", step)).step == 1
        with pytest.raises(ServiceRefused) as refused:
            await client.step_episode("e1", step.model_copy(update={"step": 3}))
        assert refused.value.code == "step_conflict"


async def test_deleting_twice_is_harmless() -> None:
    """An answer may have been lost; deleting what never was is an error."""
    codes = iter(["episode_deleted", "unknown_episode"])

    def answer(request: httpx.Request) -> httpx.Response:
        code = next(codes)
        return problem(410 if code == "episode_deleted" else 404, code)

    async with client_of(answer) as client:
        await client.delete_episode("e1")
        with pytest.raises(ServiceRefused, match="d"):
            await client.delete_episode("e1")


async def test_actions_that_are_none_are_refused() -> None:
    """A proxy's page is not taken for what was told to signals."""
    line = '{"time_s": 5.0, "tls_id": "c", "call": "setPhase", "arguments": [2]}\n'
    texts = iter([line * 2, "<html>"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=next(texts))

    async with client_of(answer) as client:
        assert [one.arguments for one in await client.episode_actions("e1")] == [(2,), (2,)]
        with pytest.raises(ServiceRefused, match="not an action"):
            await client.episode_actions("e1")


def test_the_blocking_client_has_the_same_methods() -> None:
    """All that are about episodes."""
    names = {name for name in dir(RewardClient) if "episode" in name or "candidates" in name}
    assert len(names) >= 11
    assert names <= set(dir(SyncRewardClient))
