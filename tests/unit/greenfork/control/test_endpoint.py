"""An OpenAI-compatible endpoint, played without a socket by the client's own transport."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from pydantic import SecretStr

from greenfork.control.endpoint import Endpoint, EndpointAnswerer
from shared.dataset import Message
from shared.errors import ConfigError, GreenforkError, ServiceError
from sim_workers.controllers.controller import Question

httpx2 = pytest.importorskip("httpx2", reason="the openai package is not installed")
KEY = "sk-very-secret"
Handle = Callable[[Any], Any]
AnswererOf = Callable[..., EndpointAnswerer]


def _questions(*texts: str) -> list[Question]:
    return [
        Question(seed, "a", (Message(role="user", content=text),))
        for seed, text in enumerate(texts)
    ]


@pytest.fixture
def answerer_of() -> Iterator[Callable[..., EndpointAnswerer]]:
    """Makes an answerer whose endpoint is a function."""
    with ExitStack() as stack:

        def make(handle: Handle, **given: Any) -> EndpointAnswerer:  # noqa: ANN401
            client = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
            asked = {"url": "http://model.test/v1", "model": "m", "key": SecretStr(KEY)}
            endpoint = Endpoint(**{**asked, "retries": 0, **given})
            return stack.enter_context(closing(EndpointAnswerer(endpoint, client)))

        yield make


def _chat(content: object) -> Any:  # noqa: ANN401
    return httpx2.Response(200, json={"choices": [{"message": {"content": content}}]})


def test_every_question_gets_its_own_answer(answerer_of: AnswererOf) -> None:
    """The messages, the model and the key go out; texts come back in order."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def handle(request: Any) -> Any:  # noqa: ANN401
        body = json.loads(request.content)
        seen.append((request.headers["authorization"], body))
        return _chat(body["messages"][0]["content"].upper())

    answerer = answerer_of(handle, max_new_tokens=7)
    assert answerer.answer(_questions("a", "b", "c")) == ["A", "B", "C"]
    assert {auth for auth, _ in seen} == {f"Bearer {KEY}"}
    assert all(body["model"] == "m" for _, body in seen)
    assert all((body["max_tokens"], body["temperature"]) == (7, 0) for _, body in seen)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b"",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": {"next_phase_id": 2}}}]}',
        b'{"choices": {"0": 1}}',
        b"[" * 100_000,
    ],
)
def test_rubbish_is_an_empty_answer(answerer_of: AnswererOf, body: bytes) -> None:
    """No decision can be read from it, and none is made up."""
    answerer = answerer_of(lambda _: httpx2.Response(200, content=body))
    assert answerer.answer(_questions("a")) == [""]
    assert answerer.report().failed == 0


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "endpoint_refused", "GREENFORK_ENDPOINT_KEY"),
        (404, "endpoint_refused", "/v1"),
        (400, "endpoint_refused", "answered with 400"),
        (500, "endpoint_failed", "answered with 500"),
    ],
)
def test_who_cannot_be_asked_is_an_error_in_the_place_of_the_answer(
    answerer_of: AnswererOf, status: int, code: str, said: str
) -> None:
    """It says what to do, and never repeats the key, though the server does."""

    def handle(request: Any) -> Any:  # noqa: ANN401
        if b"good" in request.content:
            return _chat("fine")
        return httpx2.Response(status, json={"error": {"message": f"no such key: {KEY}"}})

    answerer = answerer_of(handle)
    good, bad = answerer.answer(_questions("good", "bad"))
    assert good == "fine"
    assert isinstance(bad, ServiceError)
    assert bad.code == code
    assert said in bad.message
    assert KEY not in bad.message
    report = answerer.report()
    assert (report.requests, report.failed) == (2, 1)


@pytest.mark.parametrize(
    ("failure", "code"),
    [("ConnectError", "endpoint_unreachable"), ("ReadTimeout", "endpoint_timeout")],
)
def test_an_endpoint_that_is_not_there_is_an_error(
    answerer_of: AnswererOf, failure: str, code: str
) -> None:
    """So is one that takes too long."""

    def handle(request: Any) -> Any:  # noqa: ANN401
        raise getattr(httpx2, failure)("no", request=request)

    [found] = answerer_of(handle).answer(_questions("a"))
    assert isinstance(found, GreenforkError)
    assert found.code == code


def test_no_more_are_asked_at_once_than_is_set(answerer_of: AnswererOf) -> None:
    """The report says how many were, and how long they took."""
    running = most = 0

    async def handle(request: Any) -> Any:  # noqa: ANN401
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):  # the others get their turn
            await asyncio.sleep(0)
        running -= 1
        return _chat("yes")

    answerer = answerer_of(handle, concurrency=3)
    assert answerer.answer(_questions(*"abcdefgh")) == ["yes"] * 8
    report = answerer.report()
    assert most == report.most_at_once == 3
    assert (report.requests, report.failed) == (8, 0)
    assert report.latency_median_s is not None
    assert report.latency_95_s is not None
    assert 0 < report.latency_median_s <= report.latency_95_s


def test_openais_own_key_is_not_sent_elsewhere(
    answerer_of: AnswererOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in OPENAI_API_KEY is not for any URL."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    sent: list[str] = []

    def handle(request: Any) -> Any:  # noqa: ANN401
        sent.append(str(request.headers))
        return _chat("yes")

    answerer_of(handle, key=None).answer(_questions("a"))
    assert sent
    assert "sk-openai" not in sent[0]


def test_what_is_no_url_is_refused() -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match="http://127"):
        EndpointAnswerer(Endpoint("localhost:8000", "m"))
