"""Training through the real service: nothing is simulated twice, and regrets are known."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reward_client import RewardClient
from shared.decisions import canonical
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem, ScoreResponse
from tests.integration.conftest import read_rows
from tests.integration.reward_server.serving import served
from trainer import GRPOTrainingConfig, train_grpo
from trainer.runs.history import read_metrics

Settings = Callable[..., GRPOTrainingConfig]
Call = tuple[Sequence[ScoreItem], ScoreResponse]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What the run asked the service, and was told."""
    found: list[Call] = []
    real = RewardClient.score

    async def watched(
        self: RewardClient, items: Sequence[ScoreItem], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        response = await real(self, items, reward, timeout_s)
        found.append((items, response))
        return response

    monkeypatch.setattr(RewardClient, "score", watched)
    return found


def test_two_epochs_roll_nothing_out_twice(
    dataset_of: Callable[[str], Path], settings: Settings, calls: list[Call], tmp_path: Path
) -> None:
    """Every decision that is ever made is simulated once, and every state once without one.

    What the run logs as regret is what the rows say of the decisions.
    """
    dataset = dataset_of("crossing")
    rows = [json.loads(line) for line in (dataset / "train.jsonl").read_text().splitlines()]
    with served(dataset, data_dir=tmp_path / "data") as url:
        report = train_grpo(
            settings(url, dataset_path=str(dataset), max_steps=2 * len(rows) // 2, save_steps=100)
        )
    decided = {
        (item.state_id, canonical(result.decision))
        for items, response in calls
        for item, result in zip(items, response.results, strict=True)
        if result.decision is not None
    }
    states = {state for state, _ in decided}
    assert len(decided) > len(states) > 1, "several decisions in one state"
    rollouts = [response.counts.rollouts for _, response in calls]
    assert sum(rollouts) == len(decided) + len(states)
    assert report.rollouts == sum(rollouts[1:])
    assert report.cached_share > 0.2
    logged = [line.get("outcomes/regret_veh") for line in read_metrics(report.files.metrics)]
    assert logged == [pytest.approx(_regret(dataset, call)) for call in calls[1:]]


def _regret(dataset: Path, call: Call) -> float | None:
    """The mean over a batch, out of the rows."""
    queues = {
        row["state_id"]: {
            one["decision"]["extend"]: one["metrics"]["queue_veh"] for one in row["outcomes"]
        }
        for row in read_rows(dataset)
    }
    items, response = call
    regrets = [
        known[json.loads(canonical(result.decision))["extend"]] - min(known.values())
        for item, result in zip(items, response.results, strict=True)
        if result.decision is not None and (known := queues[item.state_id])
    ]
    return sum(regrets) / len(regrets) if regrets else None
