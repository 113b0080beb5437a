"""The asynchronous client: scores batches of any size, and looks up states."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx
from pydantic import SecretStr

from reward_client.addresses import open_http
from reward_client.batches import Answers, Terms, chunked, merged
from reward_client.episodes import EpisodeCalls
from reward_client.retries import RetryPolicy
from reward_client.transport import AnyMessage, exchange, parsed
from reward_client.uploads import Upload, scenario_upload, state_upload
from shared.errors import (
    BodyTooLarge,
    InvalidRequest,
    ServiceRefused,
    ServiceUnreachable,
    first_of,
)
from shared.rewards import AnyMetricName, RewardSpec
from shared.validation import invalid_as_request_errors
from shared.wire.info import ServiceInfo
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse
from shared.wire.scoring import Item, ScoreRequest, ScoreResponse
from shared.wire.states import StatePage, StateRecord, StateView
from shared.wire.uploads import ScenarioView

__all__ = ["ClientOptions", "RewardClient"]

_PAGE = 500
_TOO_MUCH = frozenset({BodyTooLarge.code, "too_many_items"})
"""Errors of a request that its halves may avoid."""
_LIMITS = httpx.Limits(max_connections=128, max_keepalive_connections=32, keepalive_expiry=4.0)
"""Idle connections are closed before the service closes them after 5 s, which would cost a
retry."""


@dataclass(frozen=True)
class ClientOptions:
    """Options of a client."""

    max_items_per_request: int = 512
    """Larger batches are split into requests of this many items; fewer if the reward has seeds,
    because an item then counts once per seed."""
    max_request_bytes: int = 4 * 2**20
    """Maximum request size, except for single items. If the service or a proxy answers 413 to a
    smaller request, it is split in half until it is accepted."""
    max_concurrency: int = 4
    """Concurrent requests per batch."""
    connect_timeout_s: float = 5.0
    """Seconds to wait for a connection."""
    margin_s: float = 10.0
    """Seconds to wait beyond ``timeout_s``: the service answers at its deadline."""
    lookup_timeout_s: float = 30.0
    """Seconds to wait for responses to requests other than scoring."""
    upload_timeout_s: float = 300.0
    """Seconds to wait for the response to an upload, which the service inspects and tests."""
    episode_timeout_s: float = 600.0
    """Seconds to wait for a step of an episode, which may have to be replayed first."""


class RewardClient(EpisodeCalls):
    """Scores decisions at a reward URL, and drives episodes.

    A client can be created anywhere; it connects on first use, and reconnects if it is used from
    another event loop, because connections belong to one loop.

    Args:
        url: URL of the service, such as ``http://127.0.0.1:8000``.
        api_key: Sent as a bearer token; None if the service needs no key.
        options: Sizes and timeouts.
        retry: When to retry.
        transport: Replaces the network, for tests.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None = None,
        options: ClientOptions | None = None,
        retry: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._api_key = api_key
        self._options = options or ClientOptions()
        self._retry = retry or RetryPolicy()
        self._transport = transport
        self._max_bytes = self._options.max_request_bytes
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections. The client can be used again; it then reconnects."""
        if self._http is not None and self._loop is asyncio.get_running_loop():
            await self._http.aclose()
        self._http = self._loop = None

    async def score(
        self,
        items: Sequence[Item],
        reward: RewardSpec,
        timeout_s: float = 30.0,
        series: bool = False,
        metrics: Sequence[AnyMetricName] | None = None,
    ) -> ScoreResponse:
        """Scores a batch of any size.

        Items with retryable errors are sent again, a limited number of times. If some of several
        requests get no response, their items have failed; if none does, this raises.

        Args:
            items: At least one.
            reward: The reward for all items.
            timeout_s: Time limit of the service per request, seconds.
            series: Whether the metrics include the queue after each second.
            metrics: The metrics to include in the results; None includes all.

        Returns:
            Results in the order of ``items``; ``counts`` sums over all requests.

        Raises:
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: The service rejects the request; ``code`` says why.
            InvalidRequest: There are no items, or ``timeout_s`` is out of bounds.
            ConfigError: The URL is invalid.
        """
        if not items:
            raise InvalidRequest("there are no items to score")
        names = None if metrics is None else tuple(metrics)
        terms = Terms(reward, timeout_s, series, names)
        slots, deadline = asyncio.Semaphore(self._options.max_concurrency), self._retry.deadline()
        seeds = len(reward.seeds or (None,))
        size = max(1, self._options.max_items_per_request // seeds)
        chunks = chunked(items, size, self._max_bytes)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._score_chunk(chunk, terms, slots, deadline))
                    for chunk in chunks
                ]
        except BaseExceptionGroup as exc:
            raise first_of(exc) from exc
        return merged([answers for task in tasks for answers in task.result()])

    async def states(self, scenario: str | None = None) -> tuple[StateRecord, ...]:
        """All states of the service, or those of one scenario, given by name or id."""
        found: list[StateRecord] = []
        while True:
            params: dict[str, str | int] = {"limit": _PAGE, "offset": len(found)}
            if scenario is not None:
                params["scenario"] = scenario
            page = await self._ask(StatePage, "GET", "/v1/states", params=params)
            found += page.states
            if not page.states or len(found) >= page.total:
                return tuple(found)

    async def state(self, state_id: str) -> StateView:
        """A state with the full definitions of its signals.

        Raises:
            ServiceRefused: ``unknown_state``.
        """
        return await self._ask(StateView, "GET", f"/v1/states/{state_id}")

    async def outcomes(self, state_id: str, query: OutcomesQuery | None = None) -> OutcomesResponse:
        """Every legal decision in a state with its reward, the best first.

        Args:
            state_id: The state.
            query: Signal, kind of decision and reward; by default, *extend* decisions and
                ``queue_gain`` at the only signal with a choice.

        Raises:
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: ``unknown_state``, ``unknown_signal``, ``tls_id_needed``, or the code
                that says why there is nothing to decide.
        """
        query = query or OutcomesQuery()
        path, params = f"/v1/states/{state_id}/outcomes", query.model_dump(exclude_none=True)
        wait = self._timeout(query.timeout_s)
        return await self._ask(OutcomesResponse, "GET", path, params=params, timeout=wait)

    async def push_scenario(self, archive: bytes, name: str | None = None) -> ScenarioView:
        """Uploads a scenario; harmless when repeated.

        Args:
            archive: A zip with one ``.sumocfg`` and the files that it needs.
            name: The scenario's name, if the archive is a dataset's ``scenario/`` folder.

        Raises:
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: The upload is rejected; the code says why.
        """
        return await self._put(scenario_upload(archive, name), ScenarioView)

    async def push_state(
        self, content: bytes, scenario_id: str, seed: int, scale: float = 1.0
    ) -> StateView:
        """Uploads a state; harmless when repeated.

        Args:
            content: The state file from SUMO, plain or gzipped.
            scenario_id: The id from :meth:`push_scenario`.
            seed: SUMO's ``--seed`` in the run that saved it.
            scale: SUMO's ``--scale`` in that run.

        Raises:
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: The upload is rejected; the code says why.
        """
        return await self._put(state_upload(content, scenario_id, seed, scale), StateView)

    async def info(self) -> ServiceInfo:
        """Versions, limits and the number of states."""
        return await self._ask(ServiceInfo, "GET", "/v1/info")

    async def _score_chunk(
        self,
        items: Sequence[Item],
        terms: Terms,
        slots: asyncio.Semaphore,
        deadline: float,
    ) -> list[Answers]:
        """Scores items, in halves if they are too large for one request."""
        answers = Answers.waiting_for(items)
        async with slots:
            try:
                await self._answer(answers, terms, deadline)
            except ServiceRefused as exc:
                if exc.code not in _TOO_MUCH:
                    raise
                if len(items) == 1 or len(answers.open) < len(items):
                    answers.give_up(exc)
                    return [answers]
            else:
                return [answers]
        middle = len(items) // 2
        return [
            *await self._score_chunk(items[:middle], terms, slots, deadline),
            *await self._score_chunk(items[middle:], terms, slots, deadline),
        ]

    async def _answer(self, answers: Answers, terms: Terms, deadline: float) -> None:
        """Sends the items, and resends retryable failures while retries are left."""
        attempt = 0
        while True:
            try:
                response, attempt = await self._post(answers.open_items(), terms, attempt, deadline)
            except ServiceUnreachable as exc:
                answers.give_up(exc)
                return
            answers.take(response)
            if not answers.open or not await self._retry.waited(attempt, deadline):
                return
            attempt += 1

    async def _post(
        self, items: Sequence[Item], terms: Terms, attempt: int, deadline: float
    ) -> tuple[ScoreResponse, int]:
        content = _content(_request(items, terms))
        http = self._connected()
        request = http.build_request(
            "POST",
            "/v1/score",
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=self._timeout(terms.timeout_s),
        )
        try:
            response, attempt = await exchange(http, request, self._retry, attempt, deadline)
        except ServiceRefused as exc:
            if exc.code == BodyTooLarge.code:  # the next batch is split before it is sent
                self._max_bytes = min(self._max_bytes, len(content) // 2)
            raise
        answer = parsed(response, ScoreResponse)
        if len(answer.results) != len(items):
            raise ServiceRefused(
                f"{request.url} returned {len(answer.results)} results for {len(items)} items",
                "bad_answer",
            )
        return answer, attempt

    async def _put(self, upload: Upload, kind: type[AnyMessage]) -> AnyMessage:
        return await self._ask(
            kind,
            "PUT",
            upload.path,
            params=upload.params,
            content=upload.content,
            headers={"Content-Type": "application/octet-stream"},
            timeout=self._timeout(self._options.upload_timeout_s),
        )

    async def _ask(
        self,
        kind: type[AnyMessage],
        method: str,
        path: str,
        **given: Any,  # noqa: ANN401 - as httpx takes it
    ) -> AnyMessage:
        return parsed(await self._send(method, path, **given), kind)

    async def _send(
        self,
        method: str,
        path: str,
        **given: Any,  # noqa: ANN401 - as httpx takes it
    ) -> httpx.Response:
        http = self._connected()
        response, _ = await exchange(http, http.build_request(method, path, **given), self._retry)
        return response

    def _patience(self) -> httpx.Timeout:
        return self._timeout(self._options.episode_timeout_s)

    def _timeout(self, timeout_s: float) -> httpx.Timeout:
        """The client timeout for a request with this time limit of the service."""
        options = self._options
        return httpx.Timeout(timeout_s + options.margin_s, connect=options.connect_timeout_s)

    def _connected(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            options = self._options
            wait = httpx.Timeout(options.lookup_timeout_s, connect=options.connect_timeout_s)
            self._http = open_http(self.url, self._api_key, wait, _LIMITS, self._transport)
            self._loop = loop
        return self._http


def _request(items: Sequence[Item], terms: Terms) -> ScoreRequest:
    with invalid_as_request_errors():
        return ScoreRequest(
            items=tuple(items),
            reward=terms.reward,
            timeout_s=terms.timeout_s,
            series=terms.series,
            metrics=terms.metrics,
        )


def _content(request: ScoreRequest) -> bytes:
    """The request as JSON; a reward that nobody named is left to each domain's default."""
    is_named = request.reward.model_fields_set & {"name", "terms"}
    left_out = {} if is_named else {"reward": {"name"}}
    return request.model_dump_json(exclude_none=True, exclude=left_out).encode()
