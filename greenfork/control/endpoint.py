"""Any OpenAI-compatible chat API, as an answerer of episodes."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import (
    ConfigError,
    GreenforkError,
    ServiceFault,
    ServiceRefused,
    ServiceUnreachable,
)

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from pydantic import SecretStr

    from sim_workers.controllers.controller import Question

__all__ = ["KEY_VARIABLE", "Endpoint", "EndpointAnswerer", "EndpointReport"]

KEY_VARIABLE = "GREENFORK_ENDPOINT_KEY"
"""The environment variable with the key: everybody on the machine can read a command line."""

_NO_KEY = "none"
"""Sent if no key is given: the key that the client finds in ``OPENAI_API_KEY`` is for OpenAI's
URL."""
_MAX_SAID_CHARS = 300
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served, and how to ask it."""

    url: str
    """The URL up to and including ``/v1``."""
    model: str
    key: "SecretStr | None" = None
    concurrency: int = 16
    """Requests at a time."""
    timeout_s: float = 60
    """Time limit of one request, in seconds."""
    retries: int = 2
    """Further attempts after a request was temporarily refused, failed or timed out."""
    max_new_tokens: int = 50
    temperature: float = 0


@dataclass(frozen=True)
class EndpointReport:
    """How an endpoint performed. Latencies are those of answered requests, in seconds."""

    url: str
    model: str
    requests: int
    failed: int
    """Requests without an answer after all retries."""
    most_at_once: int
    latency_median_s: float | None
    latency_95_s: float | None
    """The latency below which 95 % of the requests were."""
    requests_per_s: float | None
    """Answers per second while it was being asked."""


@dataclass
class _Record:
    """Measurements of the endpoint."""

    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    running: int = 0
    most_at_once: int = 0
    asking_s: float = 0


class EndpointAnswerer:
    """Asks an endpoint all questions of a moment, a limited number at a time. Close it afterwards.

    Any response with status 200 counts as an answer: if it holds no text, the answer is empty, and
    counts as invalid. If the endpoint cannot be asked, the error takes the answer's place.

    Args:
        endpoint: The endpoint and how to ask it.
        http_client: Replaces the client's own, for tests.

    Raises:
        ConfigError: The URL is not valid, or the openai package is not installed.
    """

    def __init__(self, endpoint: Endpoint, http_client: Any = None) -> None:  # noqa: ANN401
        if not endpoint.url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--endpoint {endpoint.url[:80]}: not a URL; give one such as "
                "http://127.0.0.1:8000/v1"
            )
        try:
            import openai  # noqa: F401  better to report now that it is missing
        except ImportError as exc:
            raise ConfigError(
                "--endpoint needs the openai package; install greenfork[endpoint]",
                "package_missing",
            ) from exc
        self.endpoint = endpoint
        self._http_client = http_client
        self._record = _Record()
        self._runner = asyncio.Runner()
        self._client: AsyncOpenAI | None = None

    def answer(self, questions: "Sequence[Question]") -> "Sequence[str | GreenforkError]":
        """The texts, or the errors in their place."""
        began_s = time.monotonic()
        answers = self._runner.run(self._answer_all(questions))
        self._record.asking_s += time.monotonic() - began_s
        return answers

    def report(self) -> EndpointReport:
        """How it has performed so far."""
        record = self._record
        latencies_s = sorted(record.latencies_s)
        count = len(latencies_s)
        return EndpointReport(
            url=self.endpoint.url,
            model=self.endpoint.model,
            requests=count + record.failed,
            failed=record.failed,
            most_at_once=record.most_at_once,
            latency_median_s=latencies_s[count // 2] if count else None,
            latency_95_s=latencies_s[min(count - 1, int(0.95 * count))] if count else None,
            requests_per_s=count / record.asking_s if record.asking_s else None,
        )

    def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()

    async def _answer_all(self, questions: "Sequence[Question]") -> list[str | GreenforkError]:
        client, free = self._connected(), asyncio.Semaphore(self.endpoint.concurrency)
        return await asyncio.gather(*(self._answer(client, free, one) for one in questions))

    def _connected(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        if self._client is None:
            endpoint = self.endpoint
            self._client = AsyncOpenAI(
                api_key=endpoint.key.get_secret_value() if endpoint.key else _NO_KEY,
                base_url=endpoint.url,
                timeout=endpoint.timeout_s,
                max_retries=endpoint.retries,
                http_client=self._http_client,
            )
        return self._client

    async def _answer(
        self, client: "AsyncOpenAI", free: asyncio.Semaphore, question: "Question"
    ) -> str | GreenforkError:
        record = self._record
        async with free:
            record.running += 1
            record.most_at_once = max(record.most_at_once, record.running)
            began_s = time.monotonic()
            try:
                text = await self._asked(client, question)
            except GreenforkError as exc:
                record.failed += 1
                return exc
            finally:
                record.running -= 1
            record.latencies_s.append(time.monotonic() - began_s)
            return text

    async def _asked(self, client: "AsyncOpenAI", question: "Question") -> str:
        """Sends one request.

        Raises:
            ServiceError: It cannot be asked.
        """
        import openai

        endpoint = self.endpoint
        messages: Any = [message.model_dump() for message in question.prompt]
        try:
            raw = await client.chat.completions.with_raw_response.create(
                model=endpoint.model,
                messages=messages,
                max_tokens=endpoint.max_new_tokens,
                temperature=endpoint.temperature,
            )
        except openai.APIStatusError as exc:
            raise self._refused(exc) from exc
        except openai.APITimeoutError as exc:
            raise ServiceUnreachable(
                f"{endpoint.url} did not answer within {endpoint.timeout_s:g} s; give it more time "
                "with --endpoint-timeout, or lower --endpoint-concurrency",
                "endpoint_timeout",
            ) from exc
        except openai.OpenAIError as exc:
            raise ServiceUnreachable(
                f"{endpoint.url} cannot be reached: {self._plain(exc)}; is it running?",
                "endpoint_unreachable",
            ) from exc
        return content_of(raw.content)

    def _refused(self, exc: "APIStatusError") -> GreenforkError:
        status = exc.status_code
        said = f"{self.endpoint.url} answered with {status}: {self._plain(exc)}"
        if status >= _SERVER_ERROR:
            return ServiceFault(said, "endpoint_failed")
        hints = {
            401: f"; put its key into {KEY_VARIABLE}",
            404: "; check --endpoint-model, and that the URL ends in /v1",
        }
        return ServiceRefused(said + hints.get(status, ""), "endpoint_refused")

    def _plain(self, exc: Exception) -> str:
        """An exception's message without the key, which servers like to repeat."""
        said = " ".join(str(exc).split())[:_MAX_SAID_CHARS]
        key = self.endpoint.key
        return said.replace(key.get_secret_value(), "***") if key else said


def content_of(body: bytes) -> str:
    """The text of the first choice in a response; empty if there is none.

    >>> content_of(b'{"choices": [{"message": {"role": "assistant", "content": "yes"}}]}')
    'yes'
    >>> content_of(b"<html>busy</html>"), content_of(b'{"choices": []}'), content_of(b"[1]")
    ('', '', '')
    """
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    choices = found.get("choices") if isinstance(found, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    return content if isinstance(content, str) else ""
