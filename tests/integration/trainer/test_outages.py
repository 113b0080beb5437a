"""A reward service that is killed in the middle of a run, and comes back, or does not."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reward_client import RetryPolicy
from shared.errors import TrainingStopped
from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.runs.history import read_metrics
from trainer.runs.reports import TrainingReport

Settings = Callable[..., GRPOTrainingConfig]

STEPS = 5
SAME = ("reward", "kl", "rewards/traffic/mean", "outcomes/invalid", "grad_norm", "learning_rate")
"""Metrics that tell whether two runs are the same."""


@pytest.fixture
def whole(settings: Settings, tmp_path: Path) -> TrainingReport:
    """A run without an outage, whose passes over the rows end in the middle of it."""
    with running(SmallService(yes_is_better)) as url:
        return train_grpo(settings(url, max_steps=STEPS, output_dir=str(tmp_path / "whole")))


def _is_the_same(run: TrainingReport, whole: TrainingReport) -> bool:
    """Whether two runs logged the same and ended with the same weights."""
    lines, expected = read_metrics(run.files.metrics), read_metrics(whole.files.metrics)
    of = [[[line.get(name) for name in SAME] for line in some] for some in (lines, expected)]
    adapters = [
        load_file(Path(str(report.files.adapter)) / "adapter_model.safetensors")
        for report in (run, whole)
    ]
    return of[0] == of[1] and all(
        torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[1]
    )


def test_goes_on_when_the_service_is_back(
    settings: Settings, whole: TrainingReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the third batch, started again on its port while the run asks for it: nothing lost.

    The run says once that it waits, and ends as if nothing had happened.
    """
    service, asked = SmallService(yes_is_better), 0
    with ExitStack() as first, ExitStack() as second:
        url = first.enter_context(running(service))

        async def pause(_: float) -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                first.close()
            if asked == 4:
                service.is_gone_after = None
                second.enter_context(running(service, int(url.rpartition(":")[2])))

        patient = RetryPolicy(retries=9, total_s=60, sleep=pause)
        monkeypatch.setattr("trainer.grpo.run.patience", lambda outage_s: patient)
        service.is_gone_after = 3
        report = train_grpo(settings(url, max_steps=STEPS))
    assert (asked, report.outages, report.failed_share) == (4, 1, 0)
    assert _is_the_same(report, whole)


@pytest.mark.parametrize("lost", [1, 3, 5])
def test_goes_on_later_as_if_nothing_had_happened(
    settings: Settings, whole: TrainingReport, tmp_path: Path, lost: int
) -> None:
    """Killed and not started again: stops with a checkpoint, from which the same run goes on.

    At the first batch there is nothing to go on from; the second pass over the rows begins with the
    fifth batch.
    """
    service = SmallService(yes_is_better)
    with running(service) as url:
        config = settings(url, max_steps=STEPS, save_steps=100)
        service.is_gone_after = lost
        with pytest.raises(TrainingStopped) as caught:
            train_grpo(config)
        service.is_gone_after = None
        saved = tmp_path / "run" / f"checkpoint-{lost - 1}"
        if lost == 1:
            assert "No checkpoint was saved yet; restart with" in caught.value.message
            report = train_grpo(config)
        else:
            assert (saved / "origin.json").is_file()
            resume = f"--set resume_from_checkpoint={saved}"
            assert f"--config {tmp_path / 'run' / 'config.yaml'} {resume}" in caught.value.message
            report = train_grpo(config.model_copy(update={"resume_from_checkpoint": str(saved)}))
    assert [path.name for path in saved.parent.glob("checkpoint-*") if path != saved] == [
        f"checkpoint-{STEPS}"
    ]
    assert _is_the_same(report, whole)


def test_control_is_dealt_the_same_rewards_later(settings: Settings, tmp_path: Path) -> None:
    """With ``shuffle_rewards``, too, a resumed run is the uninterrupted one."""
    service = SmallService(yes_is_better)
    with running(service) as url:
        shuffled = {"max_steps": STEPS, "save_steps": 100, "shuffle_rewards": True}
        whole = train_grpo(settings(url, output_dir=str(tmp_path / "whole"), **shuffled))
        service.is_gone_after = len(service.requests) + 3
        with pytest.raises(TrainingStopped):
            train_grpo(settings(url, **shuffled))
        service.is_gone_after = None
        report = train_grpo(settings(url, resume_from_checkpoint="latest", **shuffled))
    assert _is_the_same(report, whole)


def test_lost_again_at_once(settings: Settings, tmp_path: Path) -> None:
    """A resumed run that gets no reward at all names the checkpoint that it began with."""
    service = SmallService(yes_is_better)
    with running(service) as url:
        train_grpo(settings(url, max_steps=2))
        service.is_gone_after = len(service.requests) + 1
        with pytest.raises(TrainingStopped, match=r"checkpoint-2$"):
            train_grpo(settings(url, max_steps=4, resume_from_checkpoint="latest"))
    assert not (tmp_path / "run" / "checkpoint-3").exists()
