"""``greenfork train grpo``: what is printed of a run, and by whom."""

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

from greenfork.commands.train import app
from trainer import GRPOTrainingConfig
from trainer.runs.reports import Course, RunFiles, TrainingReport
from trainer.runs.run_stats import BatchCounts, FailureLimit, RunStats


@pytest.fixture(autouse=True)
def _trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that takes no time: half of its time went by waiting, and it gave a hint twice."""

    def train(config: GRPOTrainingConfig) -> TrainingReport:
        stats = RunStats(FailureLimit(0.5, 9))
        stats.add(BatchCounts(4, Counter(), Counter(), cached=1, reward=0.25), [False] * 4)
        stats.waited(1.0)
        stats.stepped(2.0)
        files = RunFiles.of(config, "rewards.png")
        return TrainingReport.of(stats, {"one_answer": 2}, files, Course(3, 3, 6.0))

    monkeypatch.setattr("trainer.grpo.run.train_grpo", train)
    monkeypatch.delenv("RANK", raising=False)


def _run(*options: str) -> str:
    done = CliRunner().invoke(app, ["grpo", "--output-dir", "runs/x", *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_report_as_a_table() -> None:
    """With the share of waiting, the hints, and where the model is."""
    said = " ".join(_run("--set", "lora_rank=0").split())
    for part in ("50.0% of the time", "one_answer x2", "runs/x/model", "2.0", "+0.250"):
        assert part in said
    assert "runs/x/merged" in _run()


def test_report_as_json() -> None:
    """The same for machines."""
    report = json.loads(_run("--json"))
    assert (report["reward_wait_share"], report["hints"]) == (0.5, {"one_answer": 2})
    assert report["files"]["adapter"] == "runs/x/adapter"


def test_one_rank_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several, the first one."""
    monkeypatch.setenv("RANK", "1")
    assert _run() == _run("--json") == ""


@pytest.mark.parametrize(
    "pair", ["reward_api_key=s3cret", "reward.api-key=s3cret", "reward={api_key: s3cret}"]
)
def test_key_is_not_taken_from_the_command_line(pair: str) -> None:
    """In none of its forms: whoever lists processes would see it."""
    done = CliRunner().invoke(app, ["grpo", "--set", pair])
    assert "GREENFORK_API_KEY" in str(done.exception)
