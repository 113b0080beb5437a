"""Runs that are interrupted, resumed with other settings, or short of disk."""

import asyncio
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shared.errors import ConfigError, TrainingStopped
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResult
from tests.integration.sim_workers.process_tree import wait_for
from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.grpo.batch_scorer import BatchScorer
from trainer.grpo.lookahead import LookAhead
from trainer.runs.checkpoints import flaw_of
from trainer.runs.history import read_metrics
from trainer.sft import SFTTrainingConfig, train_sft

Loop = asyncio.AbstractEventLoop
Settings = Callable[..., GRPOTrainingConfig]


def signalling(number: signal.Signals, at: int) -> SmallService:
    """Sends a signal to this process while the rewards of a batch are asked for."""
    service = SmallService(yes_is_better)

    def answer(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        if len(service.requests) == at and item is request.items[0]:
            # While a module is imported, a signal is kept for later.
            wait_for(_is_main_thread_waiting, "the training to wait for this answer")
            os.kill(os.getpid(), number)
        return yes_is_better(item, request)

    service.answer = answer
    return service


def _is_main_thread_waiting() -> bool:
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    return frame.f_code.co_filename == threading.__file__


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_is_gone_on_with(
    settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    """From the step before, which is saved; the end is that of a run that was not interrupted."""
    with running(SmallService(yes_is_better)) as url:
        whole = train_grpo(settings(url, save_steps=100, output_dir=str(tmp_path / "whole")))
    with running(signalling(number, at=4)) as url:  # one to check, and the third step's
        with pytest.raises(TrainingStopped, match=rf"interrupted \({number.name}\)") as caught:
            train_grpo(settings(url, save_steps=100))
        assert caught.value.code == "interrupted"
        found = re.search(r"resume_from_checkpoint=(\S+/checkpoint-[23])$", caught.value.message)
        assert found is not None
        assert flaw_of(Path(found[1])) is None
        report = train_grpo(settings(url, save_steps=100, resume_from_checkpoint=found[1]))
    assert report.files.adapter is not None
    assert whole.files.adapter is not None
    ours, theirs = _weights(report.files.adapter), _weights(whole.files.adapter)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_interrupted_before_the_first_step(settings: Settings) -> None:
    """There is nothing to go on from, and that is said."""
    with (
        running(signalling(signal.SIGTERM, at=2)) as url,
        pytest.raises(TrainingStopped, match=r"No checkpoint was saved yet; restart with: "),
    ):
        train_grpo(settings(url))


def test_interrupted_lessons_are_gone_on_with(
    rows_file: Path, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for supervised training."""
    from trl import SFTTrainer

    config = SFTTrainingConfig(
        model_path=str(tiny_llama),
        dataset_path=str(rows_file),
        output_dir=str(tmp_path / "sft"),
        source={"format": 1},
        lessons=32,
        batch_size=8,
        check_rows=0,
        lora_rank=4,
        warmup_steps=0,
        device="cpu",
        precision="fp32",
    )
    real, steps = SFTTrainer.training_step, list[int]()

    def interrupted(self: SFTTrainer, *args: object, **more: object) -> object:
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args, **more)

    monkeypatch.setattr(SFTTrainer, "training_step", interrupted)
    with pytest.raises(TrainingStopped, match=r"train sft .*/checkpoint-2$"):
        train_sft(config)
    report = train_sft(config.model_copy(update={"resume_from_checkpoint": "latest"}))
    assert report.steps == 4


def test_new_rate_is_applied_on_resume(settings: Settings) -> None:
    """From the first step after the checkpoint, at the schedule's place; metrics tell it."""
    with running(SmallService(yes_is_better)) as url:
        train_grpo(settings(url, max_steps=2, lr_scheduler_type="constant"))
        more = {"resume_from_checkpoint": "latest", "learning_rate": 0.002, "max_steps": 4}
        report = train_grpo(settings(url, lr_scheduler_type="constant", **more))
    rates = [line["learning_rate"] for line in read_metrics(report.files.metrics)]
    assert rates == pytest.approx([0.01, 0.01, 0.002, 0.002])


def test_new_weight_of_the_kl_is_applied_on_resume(settings: Settings) -> None:
    """Also where it is adapted, and the checkpoint holds another one."""
    changes: dict[str, object] = {"adaptive_kl": True, "kl_low": 0.0, "kl_high": 1e9}
    with running(SmallService(yes_is_better)) as url:
        train_grpo(settings(url, max_steps=2, kl_coeff=0.1, **changes))
        changes |= {"resume_from_checkpoint": "latest", "kl_coeff": 0.7}
        report = train_grpo(settings(url, **changes))
    weights = [line["kl_coeff"] for line in read_metrics(report.files.metrics)]
    assert weights == pytest.approx([0.1, 0.1, 0.7, 0.7])


def test_other_settings_are_refused_on_resume(settings: Settings) -> None:
    """By name, until they are allowed."""
    with running(SmallService(yes_is_better)) as url:
        train_grpo(settings(url, max_steps=2))
        changes: dict[str, object] = {"resume_from_checkpoint": "latest", "temperature": 0.5}
        with pytest.raises(ConfigError, match=r"temperature was 1\.0, is 0\.5"):
            train_grpo(settings(url, **changes))
        report = train_grpo(settings(url, resume_changes=["temperature"], **changes))
    assert report.steps == 4


@contextmanager
def _no_file_above(limit_bytes: int) -> Iterator[None]:
    """Writing more into a file fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_checkpoint_that_does_not_fit_names_the_one_before(settings: Settings) -> None:
    """And ``latest`` passes over what was torn."""
    from transformers import Trainer

    with running(SmallService(yes_is_better)) as url:
        config = settings(url, save_steps=1, save_total_limit=9)
        service_steps: list[int] = []

        def save(self: Trainer, output_dir: str) -> None:
            service_steps.append(1)
            if len(service_steps) == 3:
                with _no_file_above(2000):
                    real(self, output_dir)
            else:
                real(self, output_dir)

        real = Trainer._save_optimizer_and_scheduler
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "_save_optimizer_and_scheduler", save)
            with pytest.raises((OSError, RuntimeError)) as caught:
                train_grpo(config)
        assert not isinstance(caught.value, TrainingStopped)
        assert any("checkpoint-2" in note for note in caught.value.__notes__)
        torn = Path(config.output_dir) / "checkpoint-3"
        assert torn.is_dir()
        assert flaw_of(torn) is not None
        report = train_grpo(config.model_copy(update={"resume_from_checkpoint": "latest"}))
    assert report.steps == 4


def test_nothing_is_left_of_what_was_asked_for_ahead(settings: Settings) -> None:
    """A service that is slow with the next batch is not waited for when a run ends."""
    answered = threading.Event()

    def slow_ahead(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        if item.completion is None and len(request.items) > 1:
            answered.wait(20)
        return yes_is_better(item, request)

    loops: list[asyncio.AbstractEventLoop] = []
    real = LookAhead.__init__

    def keep(self: LookAhead, scorer: BatchScorer, loop: Callable[[], Loop]) -> None:
        def kept() -> Loop:
            loops.append(loop())
            return loops[-1]

        real(self, scorer, kept)

    with running(SmallService(slow_ahead)) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(LookAhead, "__init__", keep)
        train_grpo(settings(url, max_steps=1, reward_look_ahead=True))
        pending = asyncio.run_coroutine_threadsafe(_others(), loops[0]).result(timeout=10)
        answered.set()
    assert pending == 0


async def _others() -> int:
    return len(asyncio.all_tasks()) - 1
