"""The client: scores batches of any size, and looks states up."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx
from pydantic import SecretStr, ValidationError

from reward_client.addresses import open_http
from reward_client.batches import Answers, Terms, chunked, merged
from reward_client.retries import RetryPolicy
from reward_client.transport import AnyMessage, exchange, parsed
from reward_client.uploads import Upload, scenario_upload, state_upload
from shared.errors import (
    BodyTooLarge,
    GreenforkError,
    InvalidRequest,
    ServiceRefused,
    ServiceUnreachable,
)
from shared.rewards import MetricName, RewardSpec
from shared.validation import request_error
from shared.wire.info import ServiceInfo
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResponse
from shared.wire.states import StatePage, StateRecord, StateView
from shared.wire.uploads import ScenarioView

__all__ = ["ClientOptions", "RewardClient"]

_PAGE = 500
_TOO_MUCH = frozenset({BodyTooLarge.code, "too_many_items"})
"""Refusals of a request that its halves need not meet."""
_LIMITS = httpx.Limits(max_connections=128, max_keepalive_connections=32, keepalive_expiry=4.0)
"""Connections are let go before the service does so after 5 s, which would cost a retry."""


@dataclass(frozen=True)
class ClientOptions:
    """How a client sends."""

    max_items_per_request: int = 512
    """Larger batches are cut into requests of this many items; of fewer where the reward has seeds,
    for an item then counts once per seed."""
    max_request_bytes: int = 4 * 2**20
    """And of no more bytes, unless it is a single item. Where a service, or what stands before it,
    answers 413 to fewer, they are cut in halves until it takes them."""
    max_concurrency: int = 4
    """Requests of one batch that are under way at a time."""
    connect_timeout_s: float = 5.0
    """Seconds to wait for a connection."""
    margin_s: float = 10.0
    """Seconds beyond ``timeout_s`` to wait for an answer: the service answers at its deadline."""
    lookup_timeout_s: float = 30.0
    """Seconds to wait for the answer to anything but scoring."""
    upload_timeout_s: float = 300.0
    """Seconds to wait for the answer to an upload, which is looked through and tried."""


class RewardClient:
    """Scores decisions at a reward URL.

    Connections belong to the event loop they were made in: a client may be made anywhere, connects
    when it is first used, and connects anew when it is used from another loop.

    Args:
        url: Where the service listens, ``http://127.0.0.1:8000``.
        api_key: Sent as a bearer token; None where the service asks for none.
        options: Sizes and timeouts.
        retry: When to send again.
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
        """Closes the connections. The client may be used again; it then connects again."""
        if self._http is not None and self._loop is asyncio.get_running_loop():
            await self._http.aclose()
        self._http = self._loop = None

    async def score(
        self,
        items: Sequence[ScoreItem],
        reward: RewardSpec,
        timeout_s: float = 30.0,
        series: bool = False,
        metrics: Sequence[MetricName] | None = None,
    ) -> ScoreResponse:
        """Scores a batch of any size.

        What came back failed for a reason that a retry can help is sent again, a bounded number of
        times, and nothing else is. Where some of several requests get no answer, their items come
        back failed; where none gets one, this raises.

        Args:
            items: At least one.
            reward: The reward of all of them.
            timeout_s: Seconds that the service may take for one request.
            series: Whether the metrics shall hold the queue after each second.
            metrics: The only ones that the results shall hold; None for all.

        Returns:
            Results in the order of ``items``; ``counts`` sums over all requests.

        Raises:
            ServiceUnreachable: Nothing answers, or only that it is too busy.
            ServiceRefused: The service calls the request wrong; ``code`` says how.
            InvalidRequest: There are no items, or ``timeout_s`` is out of bounds.
            ConfigError: The URL is none.
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
            raise _first_own(exc) from exc
        return merged([answers for task in tasks for answers in task.result()])

    async def states(self, scenario: str | None = None) -> tuple[StateRecord, ...]:
        """All states the service knows, or those of one scenario (its name or id)."""
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
        """One state with its signals in full.

        Raises:
            ServiceRefused: ``unknown_state``.
        """
        return await self._ask(StateView, "GET", f"/v1/states/{state_id}")

    async def outcomes(self, state_id: str, query: OutcomesQuery | None = None) -> OutcomesResponse:
        """Every legal decision in a state with its reward, the best first.

        Args:
            state_id: The state.
            query: The signal, the kind of decision, the reward; by default *extend* decisions under
                ``queue_gain`` at the only signal that can be decided.

        Raises:
            ServiceUnreachable: Nothing answers, or only that it is too busy.
            ServiceRefused: ``unknown_state``, ``unknown_signal``, ``tls_id_needed``, or the code
                that says why nothing can be decided there.
        """
        query = query or OutcomesQuery()
        path, params = f"/v1/states/{state_id}/outcomes", query.model_dump(exclude_none=True)
        wait = self._timeout(query.timeout_s)
        return await self._ask(OutcomesResponse, "GET", path, params=params, timeout=wait)

    async def push_scenario(self, archive: bytes, name: str | None = None) -> ScenarioView:
        """Uploads a scenario; harmless when repeated.

        Args:
            archive: A zip of one ``.sumocfg`` and the files that it needs.
            name: For a dataset's ``scenario/`` folder, packed as it is: the scenario's name.

        Raises:
            ServiceUnreachable: Nothing answers, or only that it is too busy.
            ServiceRefused: The upload is refused; the code says why.
        """
        return await self._put(scenario_upload(archive, name), ScenarioView)

    async def push_state(
        self, content: bytes, scenario_id: str, seed: int, scale: float = 1.0
    ) -> StateView:
        """Uploads a state; harmless when repeated.

        Args:
            content: The file that SUMO saved, plain or gzipped.
            scenario_id: As :meth:`push_scenario` gave it.
            seed: SUMO's ``--seed`` of the run that it was saved from.
            scale: SUMO's ``--scale`` of that run.

        Raises:
            ServiceUnreachable: Nothing answers, or only that it is too busy.
            ServiceRefused: The upload is refused; the code says why.
        """
        return await self._put(state_upload(content, scenario_id, seed, scale), StateView)

    async def info(self) -> ServiceInfo:
        """Versions, limits and the number of states."""
        return await self._ask(ServiceInfo, "GET", "/v1/info")

    async def _score_chunk(
        self,
        items: Sequence[ScoreItem],
        terms: Terms,
        slots: asyncio.Semaphore,
        deadline: float,
    ) -> list[Answers]:
        """Scores items, in halves where they are too many bytes for one request."""
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
        """Sends the items, and those that failed again while retries are left."""
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
        self, items: Sequence[ScoreItem], terms: Terms, attempt: int, deadline: float
    ) -> tuple[ScoreResponse, int]:
        content = _request(items, terms).model_dump_json(exclude_none=True).encode()
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
            if exc.code == BodyTooLarge.code:  # the next batch is cut before it is sent
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
        http = self._connected()
        response, _ = await exchange(http, http.build_request(method, path, **given), self._retry)
        return parsed(response, kind)

    def _timeout(self, timeout_s: float) -> httpx.Timeout:
        """How long to wait for what the service may take ``timeout_s`` over."""
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


def _request(items: Sequence[ScoreItem], terms: Terms) -> ScoreRequest:
    try:
        return ScoreRequest(
            items=tuple(items),
            reward=terms.reward,
            timeout_s=terms.timeout_s,
            series=terms.series,
            metrics=terms.metrics,
        )
    except ValidationError as exc:
        raise request_error(exc.errors()) from exc


def _first_own(group: BaseExceptionGroup[BaseException]) -> BaseException:
    own = group.subgroup(GreenforkError)
    found: BaseException = own or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
