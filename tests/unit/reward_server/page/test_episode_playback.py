"""Earlier moments of episodes: repeated as on record, or an error."""

from typing import Any

import httpx
import pytest

from shared.errors import RolloutRejected, WorkerLost
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.test_episodes import GO, STAY, begun, finished, step


async def _trace(gateway: Gateway, episode_id: str, **asked: Any) -> httpx.Response:  # noqa: ANN401
    return await gateway.http.get(f"/v1/episodes/{episode_id}/trace", params=asked)


async def _score(gateway: Gateway, episode_id: str, **asked: Any) -> httpx.Response:  # noqa: ANN401
    body = {"items": [{"id": "stay", "tls_id": "C", "decision": STAY}]} | asked
    return await gateway.http.post(f"/v1/episodes/{episode_id}/score", json=body)


async def test_a_part_is_shown(gateway: Gateway) -> None:
    """Its seconds, its steps, and whose they are; only as many steps are repeated as it takes."""
    episode_id = await finished(gateway)
    shown = (await _trace(gateway, episode_id, from_s=12, to_s=18)).json()
    assert shown["times_s"] == [12, 13, 14, 15, 16, 17, 18]
    assert (shown["episode_id"], shown["first_step"], shown["steps"]) == (episode_id, 1, 1)
    assert gateway.episodes.calls[-1].at.steps == 2


async def test_the_whole_is_shown_by_default(gateway: Gateway) -> None:
    """From the begin to where the episode is."""
    episode_id = await begun(gateway)
    await step(gateway, episode_id, 0)
    shown = (await _trace(gateway, episode_id)).json()
    assert (shown["times_s"][0], shown["times_s"][-1], shown["tls_id"]) == (0, 10, None)


async def test_the_episode_does_not_move(gateway: Gateway) -> None:
    """Its process stays where it is, and no other one is left behind."""
    episode_id = await begun(gateway)
    await step(gateway, episode_id, 0)
    before = dict(gateway.episodes.processes)
    await _trace(gateway, episode_id)
    await _score(gateway, episode_id, step=0)
    assert gateway.episodes.processes == before
    assert (await step(gateway, episode_id, 1)).status_code == 200


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"from_s": 5, "to_s": 31}, "outside_episode"),
        ({"from_s": 30}, "outside_episode"),
        ({"from_s": 20, "to_s": 20}, "outside_episode"),
        ({"tls_id": "X"}, "unknown_signal"),
        ({"from_s": "nan"}, "invalid_request"),
    ],
)
async def test_what_is_no_part_is_refused(
    gateway: Gateway, asked: dict[str, Any], code: str
) -> None:
    """With a code, before anything is repeated."""
    episode_id = await finished(gateway)
    calls = len(gateway.episodes.calls)
    assert_problem(await _trace(gateway, episode_id, **asked), 422, code)
    assert len(gateway.episodes.calls) == calls


async def test_a_long_part_is_refused(gateway: Gateway) -> None:
    """With the limit; without an end as much is shown as one answer may hold."""
    episode_id = await begun(gateway, end_s=400)
    for number in range(40):
        await step(gateway, episode_id, number)
    response = await _trace(gateway, episode_id, from_s=50, to_s=351)
    assert_problem(response, 422, "trace_too_long")
    assert "300 s" in response.json()["detail"]
    assert (await _trace(gateway, episode_id, from_s=50)).json()["times_s"][-1] == 350


async def test_what_differs_from_the_record_is_not_shown(gateway: Gateway) -> None:
    """Not even where only the last step is answered otherwise."""
    episode_id = await finished(gateway)
    gateway.episodes.repeats_otherwise = True
    assert_problem(await _trace(gateway, episode_id), 500, "trace_differs")


async def test_strangers_see_nothing(gateway: Gateway) -> None:
    """Of no episode, and of none that was deleted."""
    assert_problem(await _trace(gateway, "0" * 32), 404, "unknown_episode")
    episode_id = await finished(gateway)
    await gateway.http.delete(f"/v1/episodes/{episode_id}")
    assert_problem(await _trace(gateway, episode_id), 410, "episode_deleted")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (WorkerLost("gone"), 503, "worker_lost"),
        (RolloutRejected("no", "program_switched"), 409, "program_switched"),
    ],
)
async def test_failures_are_classified(
    gateway: Gateway, error: Exception, status: int, code: str
) -> None:
    """As those of a step are."""
    episode_id = await finished(gateway)
    gateway.episodes.fails = error  # type: ignore[assignment]
    assert_problem(await _trace(gateway, episode_id), status, code)


async def test_candidates_at_an_earlier_step(gateway: Gateway) -> None:
    """Also of a finished episode, under its own id."""
    episode_id = await finished(gateway)
    found = (await _score(gateway, episode_id, step=1)).json()
    assert (found["episode_id"], found["step"], found["time_s"]) == (episode_id, 1, 10)
    assert [(one["id"], one["reward"]) for one in found["results"]] == [("stay", 1.0)]
    assert gateway.episodes.replayed[-1][1] == 1


async def test_candidates_at_a_later_step_are_refused(gateway: Gateway) -> None:
    """The step that the episode has come to is named."""
    episode_id = await begun(gateway)
    await step(gateway, episode_id, 0, GO)
    response = await _score(gateway, episode_id, step=2)
    assert_problem(response, 422, "outside_episode")
    assert "step 1" in response.json()["detail"]
