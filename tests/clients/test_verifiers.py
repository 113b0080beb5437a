"""verifiers 0.4.0: its ``openenv`` taskset, with the settings of docs/clients.md."""

import tomllib
from typing import Any

import pytest

from tests.clients.conftest import NONSENSE, Client
from tests.clients.pages import block

Json = dict[str, Any]
REPLIES = {
    "text": '<think>East.</think>{"next_phase_id": 2}',
    "json": '{"next_phase_id": 2}',
    "nonsense": NONSENSE,
}


@pytest.fixture(scope="module")
def told(url: str, clients: dict[str, Client]) -> dict[str, list[Json]]:
    """What the taskset makes of each reply, a task an entry: a seed, another one, no reward."""
    settings = tomllib.loads(block("toml", "verifiers"))["env"]["taskset"]
    assert settings.pop("id") == "openenv"
    assert settings["base_url"] == "http://127.0.0.1:8000/openenv"
    first, second = settings["resets"]
    assert second["control"] == {"preset": "program"}
    nobody = second | {"reward": {"name": "speed"}, "scale": 1e-9}
    resets = [*(one | {"end_s": 60} for one in (first, first)), nobody]
    config = settings | {"base_url": f"{url}/openenv", "resets": resets}
    found = clients["verifiers"].ask({"config": config, "replies": list(REPLIES.values())})
    return dict(zip(REPLIES, found, strict=True))


def test_replies_are_decisions(told: dict[str, list[Json]]) -> None:
    """As a text or as JSON, which the taskset sends as the action itself."""
    (text, again, _), (plain, _, _) = told["text"], told["json"]
    assert text["error"] is None
    assert text["rewards"] == again["rewards"] == plain["rewards"]
    assert text["rewards"]["openenv_reward"] < 0
    shown = text["read"][-1]["observation"]
    assert (shown["invalid"], next(iter(shown["signals"].values()))["current_phase"]) == ({}, 2)


def test_model_reads_a_prompt_and_the_schema(told: dict[str, list[Json]]) -> None:
    """All that it needs for an answer."""
    read = told["text"][0]["read"][0]
    (signal,) = read["observation"]["signals"].values()
    assert "next_phase_id" in signal["prompt"][0]["content"]
    assert read["action_schema"]["required"] == ["completion"]


def test_nonsense_is_an_invalid_decision(told: dict[str, list[Json]]) -> None:
    """It costs, and the rollout goes on."""
    one = told["nonsense"][0]
    assert one["error"] is None
    assert {found["code"] for found in one["read"][-1]["observation"]["invalid"].values()}
    assert one["rewards"]["openenv_reward"] <= -1.0 * len(one["read"]), "delay is none or less"


def test_missing_reward_is_an_error(told: dict[str, list[Json]]) -> None:
    """The taskset would have read a null as 0.0."""
    for _, _, undefined in told.values():
        assert undefined["rewards"] == {}
        assert "rewards_missing" in undefined["error"]
