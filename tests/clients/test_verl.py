"""verl 0.9.1: its reward loop, with the settings of docs/integrations.md."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import Client, Samples
from tests.unit.test_integrations import PAGE

NAMES = "reward.custom_reward_function.reward_kwargs"
MANAGERS = ["naive", "dapo", "rate_limited"]


def settings(url: str) -> list[str]:
    """Those of the documentation, with the service and the reward of this test."""
    section = PAGE.partition("\n## verl\n")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^  (\+?[\w.]+)=(\S+)", section, re.MULTILINE))
    assert {f"+{NAMES}.url", f"+{NAMES}.horizon_s"} <= set(told)
    assert told.pop("reward.reward_manager.name") == "naive"
    told |= {f"+{NAMES}.url": url, f"+{NAMES}.horizon_s": "60", f"+{NAMES}.reward": "queue"}
    return [f"{name}={value}" for name, value in told.items()]


@pytest.fixture(scope="module")
def samples(samples_of: Callable[[str], Samples]) -> Samples:
    """In verl's format."""
    return samples_of("verl")


@pytest.fixture(scope="module")
def said(url: str, samples: Samples, clients: dict[str, Client]) -> dict[str, Any]:
    """What each reward manager says of the right samples, the invalid and the unknown one."""
    lists = [samples.right, [samples.invalid], [samples.unknown]]
    question = {"overrides": settings(url), "managers": MANAGERS, "lists": lists}
    found: dict[str, Any] = clients["verl"].ask(question)
    return found


@pytest.mark.parametrize("manager", ["naive", "dapo"])
def test_exact_rewards(said: dict[str, Any], samples: Samples, manager: str) -> None:
    """The trainer gets the stored outcomes, to the last bit, and none of them as invalid."""
    right, _, _ = said[manager]
    assert [one["reward_score"] for one in right] == samples.rewards
    assert {one["reward_extra_info"]["invalid"] for one in right} == {0.0}


@pytest.mark.parametrize("manager", ["naive", "dapo"])
def test_invalid_decision(said: dict[str, Any], manager: str) -> None:
    """It has the reward for invalid decisions, and the logs say so."""
    _, (invalid,), _ = said[manager]
    assert (invalid["reward_score"], invalid["reward_extra_info"]["invalid"]) == (-1.0, 1.0)


@pytest.mark.parametrize("manager", ["naive", "dapo", "batch"])
def test_unknown_state(said: dict[str, Any], manager: str) -> None:
    """The reward manager raises our error, and the run ends."""
    assert said[manager][2] == "unknown_state"


def test_manager_that_makes_up_numbers(said: dict[str, Any]) -> None:
    """``rate_limited`` still does what the documentation warns of."""
    _, _, (unknown,) = said["rate_limited"]
    assert unknown["reward_score"] == 0.0
    assert "answered 404" in unknown["reward_extra_info"]["error"]


def test_batch_of_earlier_versions(said: dict[str, Any], samples: Samples) -> None:
    """``compute_score_batched`` under the reward manager that it was written for."""
    right, invalid, _ = said["batch"]
    assert right["score"] == samples.rewards
    assert invalid == {"score": [-1.0], "invalid": [1.0], "cached": [0.0]}
