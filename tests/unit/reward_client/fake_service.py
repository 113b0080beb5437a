"""A reward service of the client's tests, without a network."""

import json
from collections.abc import Callable, Sequence

import httpx
from pydantic import SecretStr

from reward_client import ClientOptions, RetryPolicy, RewardClient
from shared.decisions import Extend
from shared.wire.scoring import ScoreItem

__all__ = [
    "Answer",
    "Handler",
    "Service",
    "Waits",
    "client_of",
    "explored",
    "items",
    "problem",
    "scored",
]


Answer = httpx.Response | Exception


Handler = Callable[[httpx.Request], httpx.Response]


def items(count: int) -> list[ScoreItem]:
    """Items whose ids are 0, 1, 2, …"""
    return [
        ScoreItem(id=i, state_id="s@1-aaaaaaaaaaaa", tls_id="C", decision=Extend(extend=True))
        for i in range(count)
    ]


def scored(
    request: httpx.Request, failing: Sequence[int] = (), retryable: bool = True
) -> httpx.Response:
    """A response that scores every item with its id, but for those that fail."""
    results = []
    for item in json.loads(request.content)["items"]:
        if item["id"] in failing:
            error = {"code": "worker_lost", "message": "gone", "retryable": retryable}
            results.append({"id": item["id"], "status": "failed", "reward": None, "error": error})
        else:
            results.append({"id": item["id"], "status": "scored", "reward": float(item["id"])})
    failed = sum(r["status"] == "failed" for r in results)
    counts = {"scored": len(results) - failed, "invalid": 0, "failed": failed, "cached": 0}
    body = {
        "results": results,
        "counts": counts | {"rollouts": len(results)},
        "simulator": {"name": "sumo", "version": "1.28.0"},
    }
    return httpx.Response(200, json=body)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """A problem document."""
    body = {"title": "T", "status": status, "detail": "D", "code": code, "retryable": False}
    return httpx.Response(status, json=body, headers=headers)


class Service:
    """Answers with a script, then scores everything; remembers what was asked."""

    def __init__(self, *script: Answer | Handler) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Takes the next step of the script."""
        self.requests.append(request)
        step = self.script.pop(0) if self.script else scored
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return step
        answer: httpx.Response = step(request)
        return answer

    def sent_ids(self) -> list[list[int]]:
        """The ids of each request's items."""
        return [[i["id"] for i in json.loads(r.content)["items"]] for r in self.requests]


class Waits:
    """Stands in for sleep, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Returns at once."""
        self.seconds.append(seconds)


def client_of(
    service: Service, waits: Waits, retries: int = 3, api_key: str | None = None, size: int = 512
) -> RewardClient:
    """A client of a scripted service that never really waits."""
    return RewardClient(
        "http://service",
        SecretStr(api_key) if api_key else None,
        ClientOptions(max_items_per_request=size, max_concurrency=2),
        RetryPolicy(retries=retries, rand=lambda: 1.0, sleep=waits),
        httpx.MockTransport(service),
    )


def explored(request: httpx.Request) -> httpx.Response:
    """One outcome, of the signal and kind that were asked for."""
    yes = {"kind": "extend", "extend": True, "extend_s": 5}
    body = {
        "state_id": request.url.path.split("/")[3],
        "tls_id": request.url.params.get("tls_id", "only"),
        "kind": request.url.params["kind"],
        "reward": {"name": request.url.params["reward"]},
        "best": yes,
        "outcomes": [{"decision": yes, "status": "scored", "reward": 1, "regret": 0, "rank": 1}],
        "reference": {"reward": 0},
        "restore": "state",
        "counts": {"scored": 1, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 2},
        "simulator": {"version": "1"},
    }
    return httpx.Response(200, json=body)
