"""OpenRLHF 0.11.2: its executor, given the URL or the file of docs/integrations.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Client, Samples
from tests.unit.test_integrations import block

Outcomes = dict[str, list[dict[str, Any]]]
WAYS = ["url", "file"]


def example(url: str) -> str:
    """The file of the documentation, with the service and the reward of this test."""
    text = block("python", "openrlhf")
    for told, wanted in (
        ("http://127.0.0.1:8000", url),
        ("RewardSpec(horizon_s=30)", 'RewardSpec(name="queue", horizon_s=60)'),
    ):
        assert text.count(told) == 1
        text = text.replace(told, wanted)
    return text


@pytest.fixture(scope="module")
def samples(samples_of: Callable[[str], Samples]) -> Samples:
    """In OpenRLHF's format."""
    return samples_of("openrlhf")


@pytest.fixture(scope="module")
def outcomes(
    url: str,
    samples: Samples,
    clients: dict[str, Client],
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcomes:
    """What the executor makes of the right samples, the invalid and the unknown one."""
    path: Path = tmp_path_factory.mktemp("openrlhf") / "greenfork_reward.py"
    path.write_text(example(url))
    remote_urls = [f"{url}/compat/openrlhf?reward=queue&horizon_s=60", str(path)]
    asked = [*samples.right, samples.invalid, samples.unknown]
    found = clients["openrlhf"].ask({"remote_urls": remote_urls, "samples": asked})
    return dict(zip(WAYS, found, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_exact_rewards(outcomes: Outcomes, samples: Samples, way: str) -> None:
    """The trainer gets the stored outcomes, to the last bit, as rewards and as scores."""
    *right, _, _ = outcomes[way]
    rewards = [[reward] for reward in samples.rewards]
    assert len(set(samples.rewards)) == len(rewards)
    assert [one["reward"] for one in right] == rewards
    assert [one["scores"] for one in right] == rewards


@pytest.mark.parametrize("way", WAYS)
def test_invalid_decision(outcomes: Outcomes, way: str) -> None:
    """It has the reward for invalid decisions."""
    *_, invalid, _ = outcomes[way]
    assert (invalid["reward"], invalid["scores"]) == ([-1.0], [-1.0])


def test_logs(outcomes: Outcomes) -> None:
    """Those of the URL say which decisions were invalid."""
    *answered, _ = outcomes["url"]
    shares = [one["extra_logs"]["invalid"] for one in answered]
    assert shares == [[0.0]] * (len(answered) - 1) + [[1.0]]


@pytest.mark.parametrize("way", WAYS)
def test_unknown_state(outcomes: Outcomes, way: str) -> None:
    """The trainer has no reward for it, and no number in its place."""
    *_, unknown = outcomes[way]
    assert unknown == {"reward": None, "scores": None, "extra_logs": {}}
