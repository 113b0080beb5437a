"""A blocking client: the asynchronous one, on an event loop in its own thread."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
from pydantic import SecretStr

from reward_client.client import ClientOptions, RewardClient
from reward_client.retries import RetryPolicy
from shared.errors import ConfigError, ServiceUnreachable

__all__ = ["SyncRewardClient", "wind_up"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _blocking(
    method: Callable[Concatenate[RewardClient, _Given], Coroutine[Any, Any, _Result]],
) -> Callable[Concatenate["SyncRewardClient", _Given], _Result]:
    """A blocking version of a :class:`RewardClient` method."""

    @wraps(method)
    def call(self: "SyncRewardClient", /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        return self._wait_for(lambda client: method(client, *args, **kwargs))

    return call


class SyncRewardClient:
    """Scores decisions at a reward URL and drives episodes, and returns the results.

    Has the methods, timeouts and retries of :class:`RewardClient`, which runs on an event loop in
    its own thread. It can therefore be used while another loop is running (in a notebook), and
    from several threads. The thread starts with the first call and ends with :meth:`close`; a
    forked process needs its own client.

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
        self._client = RewardClient(url, api_key, options, retry, transport)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    score = _blocking(RewardClient.score)
    states = _blocking(RewardClient.states)
    state = _blocking(RewardClient.state)
    outcomes = _blocking(RewardClient.outcomes)
    push_scenario = _blocking(RewardClient.push_scenario)
    push_state = _blocking(RewardClient.push_state)
    info = _blocking(RewardClient.info)
    create_episode = _blocking(RewardClient.create_episode)
    step_episode = _blocking(RewardClient.step_episode)
    score_candidates = _blocking(RewardClient.score_candidates)
    fork_episode = _blocking(RewardClient.fork_episode)
    save_episode = _blocking(RewardClient.save_episode)
    episode = _blocking(RewardClient.episode)
    episodes = _blocking(RewardClient.episodes)
    episode_result = _blocking(RewardClient.episode_result)
    episode_trips = _blocking(RewardClient.episode_trips)
    episode_actions = _blocking(RewardClient.episode_actions)
    delete_episode = _blocking(RewardClient.delete_episode)

    def close(self) -> None:
        """Closes the connections and ends the thread. The client may be used again afterwards."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(wind_up(self._client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _wait_for(self, begin: Callable[[RewardClient], Coroutine[Any, Any, _Result]]) -> _Result:
        loop = self._running_loop()
        future = asyncio.run_coroutine_threadsafe(begin(self._client), loop)
        try:
            return future.result()
        except CancelledError as exc:
            raise ServiceUnreachable(
                f"the client of {self.url} was closed during the call"
            ) from exc
        except BaseException:
            future.cancel()  # an interrupt here also ends the request
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread, which is started if necessary.

        Raises:
            ConfigError: The thread belongs to the parent of this forked process.
        """
        with self._lock:
            if self._loop is None:
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="greenfork-client", daemon=True
                )
                self._thread.start()
            elif self._pid != os.getpid():
                raise ConfigError(
                    "this client was used before the process forked; create one in each process"
                )
            return self._loop


async def wind_up(client: RewardClient | None) -> None:
    """Cancels all other tasks of the running loop, and closes the client's connections.

    Otherwise, tasks that are pending when the loop ends would be destroyed with a warning.

    Args:
        client: The client to close; None if there is none.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if client is not None:
        await client.aclose()
