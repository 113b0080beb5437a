"""GRPO from settings to files."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest
import torch

from shared.errors import TrainingStopped
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResult
from tests.integration.trainer.small_service import SmallService, failing, running, yes_is_better
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer import GRPOTrainingConfig, load_config, train_grpo
from trainer.grpo.preflight import check_run
from trainer.models import shared_prefix
from trainer.models.loading import load_model, pick_hardware
from trainer.runs.history import read_metrics
from trainer.settings import ModelSettings

Settings = Callable[..., GRPOTrainingConfig]


def failing_ahead(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
    """Fails what is asked for ahead: decisions, but for the one that the check sends."""
    if item.completion is not None or len(request.items) == 1:
        return yes_is_better(item, request)
    error = ErrorInfo(code="worker_lost", message="no", retryable=True)
    return ScoreResult(id=item.id, status="failed", reward=None, error=error)


class TestRun:
    """A run that goes well."""

    @pytest.mark.usefixtures("pictures")
    def test_leaves_all_its_files(self, settings: Settings) -> None:
        """Adapter, merged model, settings, metrics and plot are there, and the report agrees."""
        with running(SmallService(yes_is_better)) as url:
            config = settings(url, failed_share_limit=0.1)
            report = train_grpo(config)
        assert report.steps == 4
        assert report.completions == 32
        assert report.failed_share == 0
        assert 0 < report.invalid_share < 1
        assert load_config(report.files.config) == config
        assert [line["step"] for line in read_metrics(report.files.metrics)] == [1, 2, 3, 4]
        assert report.files.plot.read_bytes().startswith(b"\x89PNG")

    def test_learns_what_is_rewarded(self, settings: Settings) -> None:
        """After a few dozen steps the model mostly gives the answer that the service prefers.

        By then it gives no other, and the report counts that the run said so.
        """
        with running(SmallService(yes_is_better)) as url:
            report = train_grpo(settings(url, max_steps=30, kl_coeff=0.0, health_window=4))
        assert report.reward_first is not None
        assert report.reward_last is not None
        assert report.reward_last > report.reward_first + 0.8
        assert report.hints["one_answer"] >= 1

    def test_asks_once_a_generation_batch(self, settings: Settings) -> None:
        """Both reward functions share one call, of all the completions of a step."""
        service = SmallService(yes_is_better)
        with running(service) as url:
            train_grpo(settings(url, gradient_accumulation_steps=2))
        assert [len(request.items) for request in service.requests] == [1, 16, 16, 16, 16]

    def test_logs_what_became_of_the_completions(self, settings: Settings) -> None:
        """Every line of metrics has the rewards, the outcomes and the KL."""
        with running(SmallService(yes_is_better)) as url:
            report = train_grpo(settings(url))
        for line in read_metrics(report.files.metrics):
            assert {
                "reward",
                "rewards/format/mean",
                "rewards/traffic/mean",
                "outcomes/invalid",
                "outcomes/failed",
                "outcomes/zero_variance_groups",
                "reward_service/seconds",
                "reward_service/waited_share",
                "entropy",
                "kl",
            } <= line.keys()

    def test_saved_models_load_and_agree(self, settings: Settings, tiny_llama: Path) -> None:
        """The merged model computes what the base with the adapter on top computes."""
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with running(SmallService(yes_is_better)) as url:
            files = train_grpo(settings(url)).files
        base = AutoModelForCausalLM.from_pretrained(tiny_llama)
        words = torch.tensor([[2, 5, 3, 6]])
        untrained = base(words).logits
        adapted = PeftModel.from_pretrained(base, files.adapter).eval()(words).logits
        merged = AutoModelForCausalLM.from_pretrained(str(files.merged))(words).logits
        assert torch.allclose(adapted, merged, atol=1e-5)
        assert not torch.allclose(untrained, merged, atol=1e-3)
        assert AutoTokenizer.from_pretrained(files.merged).chat_template

    def test_starts_from_an_adapter(self, settings: Settings, tmp_path: Path) -> None:
        """What is trained on an adapter of an earlier run is loaded onto that, not without it."""

        def logits(folder: Path | None) -> torch.Tensor:
            settings = ModelSettings(model_path=str(folder), precision="fp32")
            model = load_model(settings, pick_hardware(settings)).model
            found: torch.Tensor = model(torch.tensor([[2, 5, 3, 6]])).logits
            return found

        with running(SmallService(yes_is_better)) as url:
            first = train_grpo(settings(url, max_steps=1))
            start = str(first.files.adapter)
            second = settings(url, max_steps=1, model_path=start, output_dir=str(tmp_path / "2"))
            report = train_grpo(second)
        assert report.steps == 1
        adapted = logits(report.files.adapter)
        assert torch.allclose(adapted, logits(report.files.merged), atol=1e-5)
        assert not torch.allclose(adapted, logits(first.files.merged), atol=1e-4)

    def test_goes_on_from_the_latest_checkpoint(self, settings: Settings) -> None:
        """A resumed run trains the rest only, and its metrics continue those before."""
        with running(SmallService(yes_is_better)) as url:
            train_grpo(settings(url, max_steps=2))
            report = train_grpo(settings(url, max_steps=5, resume_from_checkpoint="latest"))
        assert report.steps == 5
        assert report.completions == 3 * 8
        assert [line["step"] for line in read_metrics(report.files.metrics)] == [1, 2, 3, 4, 5]

    def test_goes_on_in_a_later_epoch(self, settings: Settings, tmp_path: Path) -> None:
        """A resumed run sees the prompts in the order of that epoch, not of the first one."""
        service = SmallService(yes_is_better)
        with running(service) as url:
            train_grpo(settings(url, max_steps=12, save_steps=10))
            whole = [[item.state_id for item in request.of_traffic] for request in service.requests]
            service.requests.clear()
            resume = str(tmp_path / "run" / "checkpoint-10")
            train_grpo(settings(url, max_steps=12, resume_from_checkpoint=resume))
        rest = [[item.state_id for item in request.of_traffic] for request in service.requests]
        assert rest[1:] == whole[-2:]

    def test_every_step_on_the_same_completions_is_written(self, settings: Settings) -> None:
        """With its KL; a second one has no rewards of its own."""
        with running(SmallService(yes_is_better)) as url:
            report = train_grpo(settings(url, num_iterations=2, kl_coeff=0.1))
        lines = read_metrics(report.files.metrics)
        assert [(line["step"], "kl" in line) for line in lines] == [(n, True) for n in range(1, 5)]
        assert ["reward" in line for line in lines] == [True, False, True, False]

    def test_ends_when_its_time_is_over(self, settings: Settings) -> None:
        """Normally: with all its files, after the first step beyond the limit."""
        with running(SmallService(yes_is_better)) as url:
            config = settings(url, max_train_s=1e-6)
            report = train_grpo(config)
        assert report.steps == 1
        assert (Path(config.output_dir) / "adapter").is_dir()

    def test_prompts_computed_once_are_the_same_run(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        """The same answers, so the same rewards; the same KL up to rounding."""
        with running(SmallService(yes_is_better)) as url:
            plain = train_grpo(settings(url))
            apart = settings(url, share_prefixes=True, output_dir=str(tmp_path / "sharing"))
            with patch.object(
                shared_prefix, "_in_two_passes", wraps=shared_prefix._in_two_passes
            ) as made:
                sharing = train_grpo(apart)
        assert made.call_count >= 3 * 4  # to answer, for the reference, and to learn
        for one, other in zip(
            read_metrics(sharing.files.metrics), read_metrics(plain.files.metrics), strict=True
        ):
            assert one["reward"] == other["reward"]
            assert one["kl"] == pytest.approx(other["kl"], rel=1e-2, abs=1e-5)

    def test_states_are_said_in_words(self, settings: Settings, tmp_path: Path) -> None:
        """Where that is asked for; the rows that are scored are the same."""
        rows = str(save_dataset(tmp_path / "net", [Moment(), Moment()]) / "eval.jsonl")
        with running(SmallService(yes_is_better)) as url:
            plain, told = (
                check_run(settings(url, dataset_path=rows, prompt_form=form)).dataset
                for form in ("json", "words")
            )
        assert plain["state_id"] == told["state_id"]
        assert all(prompt[-1]["content"].startswith("Green now: ") for prompt in told["prompt"])

    def test_same_seed_same_run(self, settings: Settings, tmp_path: Path) -> None:
        """Two runs of equal settings log equal rewards."""
        histories = []
        with running(SmallService(yes_is_better)) as url:
            for name in "ab":
                report = train_grpo(settings(url, output_dir=str(tmp_path / name)))
                histories.append([m["reward"] for m in read_metrics(report.files.metrics)])
        assert histories[0] == histories[1]

    def test_asks_for_rewards_while_the_reference_computes(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The service has a batch before the log-probabilities of the reference are there."""
        from trl import GRPOTrainer

        real = GRPOTrainer._get_per_token_logps_and_entropies
        has_arrived, in_time = threading.Event(), list[bool]()

        def arriving(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
            has_arrived.set()
            return yes_is_better(item, request)

        def computing(self: GRPOTrainer, *args: object, **more: object) -> object:
            if not torch.is_grad_enabled():
                in_time.append(has_arrived.wait(timeout=10))
                has_arrived.clear()
            return real(self, *args, **more)

        monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", computing)
        with running(SmallService(arriving)) as url:
            train_grpo(settings(url, kl_coeff=0.1, max_steps=2, save_merged=False))
        assert in_time == [True, True]

    @pytest.mark.parametrize("fails", [False, True])
    def test_looks_ahead_once_a_state(
        self, settings: Settings, tmp_path: Path, fails: bool
    ) -> None:
        """Both answers of the next batch are asked for before it is made, and once in a run.

        What the run learns does not depend on it, nor does a failure there count as one.
        """
        service = SmallService(failing_ahead if fails else yes_is_better)
        with running(service) as url:
            plain = train_grpo(settings(url, max_steps=6))
            service.requests.clear()
            more = {"reward_look_ahead": True, "output_dir": str(tmp_path / "ahead")}
            report = train_grpo(settings(url, max_steps=6, **more))
        lines = [read_metrics(run.files.metrics) for run in (plain, report)]
        assert [line["reward"] for line in lines[0]] == [line["reward"] for line in lines[1]]
        assert report.failed_share == 0
        asked: list[tuple[str, bool]] = []
        batches = 0
        for request in service.requests[1:]:
            if request.of_traffic[0].completion is None:
                decisions = [(item.state_id, item.decision) for item in request.of_traffic]
                asked += [(state, decision.extend) for state, decision in decisions]  # type: ignore[union-attr]
            else:
                known = {state for state, _ in asked}
                batches += 1
                assert batches == 1 or {item.state_id for item in request.of_traffic} <= known
        assert sorted(asked) == [(f"net@{n}-0123456789ab", yes) for n in range(8) for yes in (0, 1)]

    def test_a_tracker_is_told_what_the_file_is_told(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever the setting names gets every metric of ours, and the name of the run."""
        from transformers import TrainerCallback, TrainingArguments
        from transformers.integrations import integration_utils

        told: list[dict[str, float]] = []
        names: set[str | None] = set()

        class Tracker(TrainerCallback):
            def on_log(self, args: TrainingArguments, *_: object, **more: object) -> None:
                names.add(args.run_name)
                told.append(cast("dict[str, float]", more["logs"]).copy())

        monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
        monkeypatch.setattr("trainer.grpo.preflight.check_report_to", lambda name: None)
        with running(SmallService(yes_is_better)) as url:
            config = settings(url, report_to="tensorboard", adaptive_kl=True, max_steps=2)
            lines = read_metrics(train_grpo(config).files.metrics)
        assert names == {Path(config.output_dir).name}
        for line, known in zip(lines, told, strict=False):
            assert {"kl_coeff", "reward_service/waited_share", "outcomes/cached"} <= line.keys()
            assert line.keys() - {"step"} <= known.keys()


class TestAllWeights:
    """``lora_rank: 0``: no adapter."""

    def test_is_saved_whole_and_goes_on(self, settings: Settings, tiny_llama: Path) -> None:
        """Every weight moved, one model is written, and a checkpoint of it is gone on with."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with running(SmallService(yes_is_better)) as url:
            config = settings(url, lora_rank=0, max_steps=2)
            train_grpo(config)
            more = {"max_steps": 3, "resume_from_checkpoint": "latest"}
            report = train_grpo(config.model_copy(update=more))
            files = report.files
            assert (report.steps, files.adapter, files.merged) == (3, None, None)
            trained = AutoModelForCausalLM.from_pretrained(str(files.model)).state_dict()
            start = AutoModelForCausalLM.from_pretrained(tiny_llama).state_dict()
            assert all(not torch.equal(trained[name], start[name]) for name in start)
            assert AutoTokenizer.from_pretrained(str(files.model)).chat_template
            again = {"model_path": str(files.model), "output_dir": f"{config.output_dir}-2"}
            assert train_grpo(config.model_copy(update=again)).steps == 2

    def test_reference_is_the_model_it_started_from(self, settings: Settings) -> None:
        """An adapter that is merged at the start is under the reference as well: no KL at first."""
        with running(SmallService(yes_is_better)) as url:
            adapter = train_grpo(settings(url, save_merged=False, learning_rate=0.05)).files.adapter
            config = settings(url, lora_rank=0, kl_coeff=0.1, max_steps=2, model_path=str(adapter))
            config = config.model_copy(update={"output_dir": f"{config.output_dir}-2"})
            kl = [line["kl"] for line in read_metrics(train_grpo(config).files.metrics)]
        assert kl[0] == pytest.approx(0, abs=1e-6)
        assert kl[1] > 1e-4


class TestStop:
    """A run that goes wrong ends itself, says why, and can be gone on with."""

    def test_when_too_many_rewards_fail(self, settings: Settings) -> None:
        """The message names the share and the code; a checkpoint is there."""
        with running(SmallService(failing)) as url:
            config = settings(url, failed_share_limit=0.5, failed_window=24)
            with pytest.raises(TrainingStopped, match=r"50% .*'rollout_rejected'"):
                train_grpo(config)
        assert (Path(config.output_dir) / "checkpoint-2").is_dir()
        assert not (Path(config.output_dir) / "adapter").exists()

    def test_failures_below_the_limit_are_no_reason(self, settings: Settings) -> None:
        """Failed completions get no reward at all, neither traffic nor format."""
        service = SmallService(yes_is_better)
        seen = 0

        def one_in_four(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
            nonlocal seen
            seen += 1
            return (failing if seen % 4 == 0 else yes_is_better)(item, request)

        service.answer = one_in_four
        with running(service) as url:
            report = train_grpo(settings(url, failed_share_limit=0.5, failed_window=8))
        assert report.failed_share == 0.25

    def test_when_the_service_goes_away(self, settings: Settings) -> None:
        """The run stops with a checkpoint, and goes on when the service is back."""
        service = SmallService(yes_is_better)
        with running(service) as url:
            service.is_gone_after = 3
            with pytest.raises(TrainingStopped, match="does not answer"):
                train_grpo(settings(url))
            service.is_gone_after = None
            report = train_grpo(settings(url, resume_from_checkpoint="latest"))
        assert report.steps == 4


def test_config_file_holds_no_secret(settings: Settings) -> None:
    """The API key is used, and not written down."""
    with running(SmallService(yes_is_better)) as url:
        report = train_grpo(settings(url, max_steps=1, reward_api_key="s3cret"))
    assert "s3cret" not in report.files.config.read_text()
    assert "s3cret" not in json.dumps(report.model_dump(mode="json"))
