"""openenv 0.10.0: its stock client plays; in this process the same is played beside it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from greenfork.gym import LocalEpisodes
from reward_client import SyncRewardClient
from shared.wire.episodes import EpisodeRequest, StepRequest
from sim_workers.scenarios.resco import locate_scenario
from tests.clients.conftest import Client
from tests.clients.pages import block
from tests.integration.conftest import OWN

Json = dict[str, Any]
SEED = 7
END_S = 120


def archive(config: Path) -> bytes:
    """A scenario as it is uploaded: the files beside its configuration."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(config.parent.iterdir()):
            if path.is_file() and (path.suffix != ".sumocfg" or path == config):
                file.write(path, path.name)
    return packed.getvalue()


@pytest.fixture(scope="module")
def told(url: str, clients: dict[str, Client]) -> Json:
    """What the client was told."""
    with SyncRewardClient(url) as client:
        state = client.states()[0]
        city = client.push_scenario(archive(locate_scenario("resco:cologne1"))).scenario_id
        grid = client.push_scenario(archive(OWN["grid2x2"])).scenario_id
    short = {"end_s": END_S, "seed": SEED}
    undefined = {"reward": {"name": "speed"}, "end_s": 600, "scale": 1e-9}
    games = {
        "hour": ({"scenario_id": city, "seed": SEED, "reward": {"name": "queue"}}, None),
        "again": (short, None),
        "and_again": (short | {"episode_id": "mine"}, None),
        "other_seed": (short | {"seed": SEED + 1}, None),
        "grid": (short | {"scenario_id": grid}, None),
        "state": ({"state_id": state.state_id, "end_s": state.time_s + 30}, None),
    }
    found: Json = clients["openenv"].ask(
        {
            "example": {
                "example": block("python", "openenv").replace("http://127.0.0.1:8000", url),
                "scenario_id": state.scenario_id,
            },
            "url": f"{url}/openenv",
            "games": {name: {"reset": one, "steps": n} for name, (one, n) in games.items()},
            "wrong": {
                "undefined": undefined,
                "unknown": {"scenario_id": "nowhere-0a1b2c3d4e5f"},
                "seeded_state": {"state_id": state.state_id, "seed": 1},
            },
        }
    )
    return found | {"time_s": state.time_s}


def test_an_hour_of_cologne1(told: Json) -> None:
    """Its rewards and figures are, to the last bit, those of the same decisions made here."""
    hour = told["games"]["hour"]
    assert len(hour["rewards"]) == 360
    assert hour["last"]["done"]
    with LocalEpisodes("resco:cologne1") as episodes:
        request = EpisodeRequest.model_validate(
            {"scenario_id": episodes.scenario_id, "seed": SEED, "reward": {"name": "queue"}}
        )
        episode, rewards = episodes.begin(request), []
        (tls_id,) = episode.answer.signals
        for number, action in enumerate(hour["actions"]):
            is_open = bool(episode.answer.signals[tls_id].legal)
            said = {tls_id: action["completion"]} if is_open else {}
            rewards.append(episode.step(StepRequest(step=number, completions=said)).reward)
        figures = json.loads(episode.figures().model_dump_json())
    assert rewards == hour["rewards"]
    shown = hour["last"]["metadata"]["figures"]
    assert {name: shown[name] for name in figures if name in shown} == {
        name: value for name, value in figures.items() if value is not None
    }
    assert 0 < shown["delay_s"] < 60


def test_example_of_the_documentation(told: Json) -> None:
    """It plays an hour, and adds rewards up."""
    assert told["total"] < 0


def test_seeds_are_honoured(told: Json) -> None:
    """The same again, and another one otherwise."""
    games = told["games"]
    assert games["again"]["rewards"] == games["and_again"]["rewards"]
    assert games["again"]["rewards"] != games["other_seed"]["rewards"]
    assert games["and_again"]["state"]["episode_id"] == "mine"
    assert games["again"]["state"]["step_count"] == len(games["again"]["rewards"])


def test_several_signals(told: Json) -> None:
    """All are decided by one action."""
    grid = told["games"]["grid"]
    assert len(grid["first"]["signals"]) == 4
    assert {len(action["completion"]) for action in grid["actions"]} >= {4}
    assert grid["last"]["observation"]["invalid"] == {}
    assert len(grid["last"]["observation"]["rewards"]) == 4


def test_reset_to_a_saved_state(told: Json) -> None:
    """It begins there."""
    state = told["games"]["state"]
    assert state["first"]["time_s"] == told["time_s"]
    assert len(state["rewards"]) == 3


def test_errors_are_raised(told: Json) -> None:
    """A missing reward among them; never a zero."""
    wrong = told["wrong"]
    assert wrong["undefined"].endswith("[rewards_missing] (code: EXECUTION_ERROR)")
    assert wrong["unknown"].endswith("[unknown_scenario] (code: EXECUTION_ERROR)")
    assert wrong["seeded_state"].endswith("(code: VALIDATION_ERROR)")


def test_only_finished_episodes_are_left(told: Json, url: str) -> None:
    """The client left some in the middle."""
    with SyncRewardClient(url) as client:
        left = {one.episode_id: one.status for one in client.episodes()}
    for game in told["games"].values():
        assert left[game["state"]["greenfork_episode_id"]] == "finished"
    assert not any(one.startswith("it went well") for one in told["wrong"].values())
