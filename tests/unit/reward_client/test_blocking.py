"""The client that waits: the same as the asynchronous one, from any thread."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from reward_client import ClientOptions, RetryPolicy, RewardClient, SyncRewardClient
from shared.errors import ConfigError, InvalidRequest, ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from tests.unit.reward_client.fake_service import Service, Waits, items, problem, scored


def client_of(
    service: Service, waits: Waits, retries: int = 3, size: int = 512
) -> SyncRewardClient:
    """A client of a scripted service that never really waits."""
    return SyncRewardClient(
        "http://service",
        None,
        ClientOptions(max_items_per_request=size),
        RetryPolicy(retries=retries, rand=lambda: 1.0, sleep=waits),
        httpx.MockTransport(service),
    )


def threads() -> list[threading.Thread]:
    """The threads of clients."""
    return [thread for thread in threading.enumerate() if thread.name == "greenfork-client"]


def public(kind: type) -> dict[str, str]:
    """The public methods and what they take and give."""
    return {
        name: str(inspect.signature(member)).replace(kind.__name__, "Client")
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in ("aclose", "close")
    }


def test_has_every_method_of_the_other() -> None:
    """With the same arguments, and the same words about them."""
    assert public(SyncRewardClient) == public(RewardClient)
    for name in public(RewardClient):
        assert getattr(SyncRewardClient, name).__doc__ == getattr(RewardClient, name).__doc__


def test_scores_large_batches_and_retries() -> None:
    """In order, over several requests, with what failed sent again."""
    service, waits = Service(problem(503, "overloaded", **{"Retry-After": "7"})), Waits()
    with client_of(service, waits, size=3) as client:
        response = client.score(items(8), RewardSpec())
    assert [r.reward for r in response.results] == [float(i) for i in range(8)]
    assert waits.seconds == [7.25]


def test_errors_come_out_as_they_are() -> None:
    """As the classes that the asynchronous client raises."""
    with client_of(Service(problem(404, "unknown_state")), Waits()) as client:
        with pytest.raises(ServiceRefused) as refused:
            client.score(items(1), RewardSpec())
        with pytest.raises(InvalidRequest):
            client.score([], RewardSpec())
    assert refused.value.code == "unknown_state"
    lost = Service(*[httpx.ConnectError("refused")] * 9)
    with client_of(lost, Waits()) as client, pytest.raises(ServiceUnreachable):
        client.score(items(1), RewardSpec())


async def test_where_another_loop_runs() -> None:
    """As in a notebook."""
    with client_of(Service(), Waits()) as client:
        assert client.score(items(2), RewardSpec()).counts.scored == 2


def test_from_several_threads() -> None:
    """Everyone gets their own results, over one thread and one set of connections."""
    with client_of(Service(), Waits()) as client, ThreadPoolExecutor(8) as pool:
        sizes = [1 + n % 5 for n in range(40)]
        responses = pool.map(lambda size: client.score(items(size), RewardSpec()), sizes)
        assert [len(response.results) for response in responses] == sizes
        assert len(threads()) == 1


def test_thread_lives_from_the_first_call_to_the_end() -> None:
    """Closing twice is harmless, and a closed client may be used again."""
    client = client_of(Service(), Waits())
    client.close()
    assert threads() == []
    for _ in range(2):
        assert client.score(items(1), RewardSpec()).counts.scored == 1
        assert len(threads()) == 1
        client.close()
        assert threads() == []
    client.close()


def test_closing_ends_what_others_wait_for() -> None:
    """They are told, and nothing hangs."""
    began = threading.Event()

    async def stall(seconds: float) -> None:
        began.set()
        await asyncio.Event().wait()

    client = SyncRewardClient(
        "http://service",
        retry=RetryPolicy(sleep=stall),
        transport=httpx.MockTransport(Service(httpx.ConnectError("refused"))),
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.score, items(1), RewardSpec())
        assert began.wait(20)
        client.close()
        with pytest.raises(ServiceUnreachable, match="closed"):
            waiting.result(20)


def test_forked_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not survive a fork: a call would wait for ever."""
    client = client_of(Service(scored), Waits())
    client.score(items(1), RewardSpec())
    with monkeypatch.context() as forked:
        forked.setattr("reward_client.blocking.os.getpid", lambda: -1)
        with pytest.raises(ConfigError, match="forked"):
            client.score(items(1), RewardSpec())
    client.close()
