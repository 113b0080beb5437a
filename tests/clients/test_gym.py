"""Gymnasium 1.4.0 and PettingZoo 1.27.0: their own checkers; Stable-Baselines3 2.9.2 trains."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_client import SyncRewardClient
from tests.clients.conftest import ROOT, Client
from tests.clients.pages import block
from tests.integration.conftest import OWN

EXAMPLES = ("gym", "pettingzoo", "sb3", "trl")
CHECKS = (
    *("one", "one_extending", "one_at_the_service", "many", "many_extending"),
    *("batch_next_step", "batch_same_step", "batch_at_the_service"),
    *("seeds", "both_ways", "state"),
    *("example_gym", "example_pettingzoo", "example_trl", "training"),
)


@pytest.fixture(scope="module")
def failures(
    url: str, dataset_of: Callable[[str], Path], clients: dict[str, Client]
) -> dict[str, str | None]:
    """How each check failed."""
    with SyncRewardClient(url) as client:
        state = client.states()[0]
    question = {
        "url": url,
        "scenario_id": state.scenario_id,
        "state_id": state.state_id,
        "time_s": state.time_s,
        "crossing": str(ROOT / OWN["crossing"]),
        "grid": str(ROOT / OWN["grid2x2"]),
        "examples": {name: block("python", name) for name in EXAMPLES},
    }
    found: dict[str, str | None] = clients["gym"].ask(question)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_check(failures: dict[str, str | None], check: str) -> None:
    """No complaint, and no warning."""
    assert failures[check] is None, failures[check]


def test_nothing_is_left_behind(failures: dict[str, str | None], url: str) -> None:
    """The environments have deleted what they began at the service."""
    assert len(failures) == len(CHECKS)
    with SyncRewardClient(url) as client:
        assert json.dumps([one.episode_id for one in client.episodes("running")]) == "[]"
