"""A GRPO run on TRL's trainer with rewards from the service, from checks to report."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from reward_client import RewardClient
from reward_client.blocking import wind_up
from shared.errors import ConfigError, DatasetError, ServiceUnreachable
from shared.language.reasoning import opened_by
from trainer.callbacks.health import HealthWatch
from trainer.curriculum.plan import batch_shape, check_domains, plan_curriculum, with_groups
from trainer.environment import is_first_rank, stay_offline, world_size
from trainer.grpo.batch_scorer import BatchScorer, ScoringTerms, patience
from trainer.grpo.config import GRPOTrainingConfig
from trainer.grpo.lookahead import LookAhead
from trainer.grpo.preflight import Preflight, check_run, connect
from trainer.grpo.reward_functions import FormatReward, RewardWeights, TrafficReward
from trainer.grpo.samples import SampleFile
from trainer.models.chat import prompt_text
from trainer.models.loading import load_tokenizer
from trainer.plots import plot_rewards
from trainer.ranks import from_ranks
from trainer.runs.history import MetricsFile
from trainer.runs.reports import RunFiles, TrainingReport
from trainer.runs.run_stats import FailureLimit, RunStats
from trainer.runs.training_run import TrainingRun

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, TrainerCallback
    from trl import GRPOTrainer

    from trainer.curriculum.batches import Curriculum
    from trainer.curriculum.telemetry import CurriculumMetrics
    from trainer.models.loading import LoadedModel

__all__ = ["Rehearsal", "rehearse", "train_grpo"]

log = structlog.get_logger(__name__)


def train_grpo(config: GRPOTrainingConfig, show_progress: bool = True) -> TrainingReport:
    """Trains a model by GRPO through the reward URL.

    Writes to ``output_dir``: ``config.yaml``; during the run ``metrics.jsonl``, ``samples.jsonl``
    and checkpoints; and at the end ``rewards.png`` and the model: ``adapter/`` and ``merged/``, or
    ``model/`` if all weights were trained.

    Args:
        config: See :func:`trainer.load_config`.
        show_progress: Whether to show each step on standard error.

    Raises:
        InputError: The dataset, the model or a setting is unusable.
        ServiceError: The reward service does not answer, or rejects the dataset's states.
        TrainingStopped: The service was lost, or too many rewards failed. A checkpoint was saved.
    """
    stay_offline()
    return _GRPORun(config, check_run(config), show_progress).run()


@dataclass(frozen=True)
class Rehearsal:
    """The rows after tokenization."""

    rows: int
    """Rows whose prompts leave room for an answer."""
    longest_prompt: int
    """Tokens."""
    prompt: str
    """The first prompt, as the model sees it."""


def rehearse(config: GRPOTrainingConfig, ready: Preflight) -> Rehearsal:
    """Runs all steps before the model is loaded: tokenizer, prompts, and filtering of rows.

    Raises:
        InputError: As :func:`train_grpo`.
    """
    tokenizer = load_tokenizer(config)
    dataset = _fitting(ready.dataset, tokenizer, config)
    if config.curriculum:
        check_domains(config, ready.dataset, dataset)
    longest = max(_tokens(tokenizer, prompt) for prompt in dataset["prompt"])
    return Rehearsal(len(dataset), longest, prompt_text(tokenizer, dataset[0]["prompt"]))


class _GRPORun(TrainingRun[GRPOTrainingConfig, Preflight, RunFiles, TrainingReport]):
    """One run."""

    verb = "grpo"

    def __init__(self, config: GRPOTrainingConfig, ready: Preflight, show_progress: bool) -> None:
        files = RunFiles.of(config, "rewards.png")
        super().__init__(config, ready, files, show_progress, config.num_iterations == 1)
        limit = FailureLimit(config.failed_share_limit, config.failed_window)
        self._stats = RunStats(limit, stop=self._stop, ranks=world_size())
        self._health = HealthWatch(config.health)
        self._client: RewardClient | None = None
        self._scorer = BatchScorer(
            self._connect,
            _terms(config, lambda: _deal_seed(config.seed, self._trainer)),
            self._stats,
            patience(config.reward_outage_s),
        )
        self._trainer: Any = None
        self._curriculum: Curriculum | None = None

    def train(self) -> TrainingReport:
        """Loads, trains, saves."""
        from trainer.grpo.trainer import BatchLost

        loaded = self._load()
        dataset = _fitting(self._ready.dataset, loaded.tokenizer, self._config)
        self._scorer.opened = _opened(loaded.tokenizer, dataset[0]["prompt"])
        self._trainer = trainer = self._make_trainer(loaded, dataset)
        self._add_callbacks()
        if is_first_rank():
            self._keep_samples(dataset)
        course = self._go(trainer, self._ready.checkpoint, lost=(BatchLost,))
        if is_first_rank():
            self._save(trainer.model, trainer.processing_class)
        stats = RunStats.merged(from_ranks(self._stats))
        return TrainingReport.of(stats, self._health.episodes, self._files, course)

    def plot(self) -> None:
        """Plots rewards and outcomes."""
        plot_rewards(self._files.metrics, self._files.plot)

    def close(self) -> None:
        """Cancels pending requests and closes connections, on their own loop."""
        loop = getattr(self._trainer, "async_loop", None)
        if loop is not None and loop.is_running():
            winding = asyncio.run_coroutine_threadsafe(wind_up(self._client), loop)
            with contextlib.suppress(TimeoutError):  # the reason why the run ended matters more
                winding.result(timeout=10)

    def _connect(self) -> RewardClient:
        self._client = connect(self._config)
        return self._client

    def _make_trainer(self, loaded: "LoadedModel", dataset: "Dataset") -> "GRPOTrainer":
        from trainer.grpo.trainer import rewarded_trainer
        from trainer.runs.arguments import grpo_arguments

        config, scorer = self._config, self._scorer
        weights = RewardWeights(config.format_weight, config.tsc_weight, config.num_generations)
        trainer_class: type[GRPOTrainer] = rewarded_trainer(scorer)
        more: CurriculumMetrics | None = None
        if config.curriculum:
            from trainer.curriculum.sampler import curriculum_trainer

            check_domains(config, self._ready.dataset, dataset)
            curriculum, dataset, more = plan_curriculum(config, dataset)
            self._curriculum = curriculum
            trainer_class = curriculum_trainer(curriculum, trainer_class)
            config = config.model_copy(update={"max_steps": curriculum.max_steps})
        else:
            dataset = with_groups(dataset)
        try:
            trainer = trainer_class(
                model=loaded.model,
                processing_class=loaded.tokenizer,
                peft_config=loaded.lora,
                args=grpo_arguments(config, self._ready.hardware),
                train_dataset=dataset,
                reward_funcs=[FormatReward(scorer), TrafficReward(scorer, weights, more)],
            )
        except ConnectionError as exc:
            raise ServiceUnreachable(
                f"no vLLM server answers at {config.vllm_server_url}; start one as in the "
                "preset multi-gpu, or set vllm_mode: colocate"
            ) from exc
        if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
            raise ConfigError(
                "several ranks each hold the whole model here: use neither DeepSpeed nor FSDP"
            )
        if trainer.ref_model is not None:  # it was loaded from the path, without a merged adapter
            trainer.ref_model.load_state_dict(loaded.model.state_dict())
        if config.reward_look_ahead:
            trainer.data_collator = LookAhead(scorer, lambda: trainer.async_loop)
        return trainer

    def _keep_samples(self, dataset: "Dataset") -> None:
        """Has some prompts and answers written down beside the metrics."""
        rows = zip(dataset["state_id"], dataset["tls_id"], strict=True)
        places = {named: place for place, named in enumerate(rows)}
        trainer, path = self._trainer, self._files.metrics.with_name("samples.jsonl")
        samples = SampleFile(
            path,
            lambda state_id, tls_id: dataset[places[state_id, tls_id]]["prompt"],
            lambda: int(trainer.state.global_step),
        )
        checkpoint = self._ready.checkpoint
        samples.begin(0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2]))
        self._scorer.watch = samples.take

    def _add_callbacks(self) -> None:
        """Adds the callbacks of all runs and those of GRPO."""
        from rich.console import Console

        from trainer.callbacks import control
        from trainer.callbacks.curriculum import CurriculumCallback
        from trainer.callbacks.metrics import STEP_MARKS, HealthCallback, TimingCallback
        from trainer.callbacks.progress import RewardProgressCallback

        config, trainer = self._config, self._trainer
        first: list[TrainerCallback] = [TimingCallback(self._stats)]
        if config.adaptive_kl:
            is_new = "kl_coeff" in self._ready.applied
            first.append(control.AdaptiveKLCallback(trainer, config.kl_control, is_new))
        trainer.callback_handler.callbacks[:0] = first  # later callbacks see what they log
        if self._curriculum is not None and self._show_progress:
            console = Console(stderr=True)
            trainer.add_callback(CurriculumCallback(self._curriculum, console))
        for callback in (
            control.UnscoredStepCallback(self._stats),
            control.ResumedOrderCallback(),
            HealthCallback(self._health, self._files.metrics.with_name("hints.jsonl")),
        ):
            trainer.add_callback(callback)
        self._watch(
            trainer,
            MetricsFile(self._files.metrics),
            STEP_MARKS,
            RewardProgressCallback(self._stats, Console(stderr=True)),
            limit_s=config.max_train_s,
            steps_a_batch=config.num_iterations,
        )


def _terms(config: GRPOTrainingConfig, deal_seed: Callable[[], str]) -> ScoringTerms:
    """The terms of requests, from the settings, with a unique name for this run's groups."""
    return ScoringTerms(
        config.reward,
        config.reward_timeout_s,
        config.extend_seconds,
        config.num_generations,
        uuid.uuid4().hex[:12],
        deal_seed if config.shuffle_rewards else None,
        config.invalid_as_worst,
    )


def _deal_seed(seed: int, trainer: Any) -> str:  # noqa: ANN401 - an untyped library
    """A seed per batch and rank, which a resumed run reproduces."""
    return f"{seed}/{trainer.accelerator.process_index}/{trainer.state.global_step}"


def _fitting(
    dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", config: GRPOTrainingConfig
) -> "Dataset":
    """The rows whose prompts leave room for an answer.

    Raises:
        DatasetError: There are fewer than a step needs: TRL would not train at all.
    """
    room = config.max_seq_length - config.max_new_tokens
    fits = [_tokens(tokenizer, prompt) <= room for prompt in dataset["prompt"]]
    if not any(fits):
        raise DatasetError(
            f"every prompt is longer than max_seq_length - max_new_tokens = {room} tokens"
        )
    if not all(fits):
        log.warning("left out rows with long prompts", rows=fits.count(False), room_tokens=room)
    if (wanted := batch_shape(config).prompts) > sum(fits) and not config.curriculum:
        raise DatasetError(
            f"a step needs {wanted} prompts, but the dataset has {sum(fits)}: build more states, "
            "or lower batch_size or gradient_accumulation_steps"
        )
    return dataset.select([row for row, is_fit in enumerate(fits) if is_fit])


def _opened(tokenizer: "PreTrainedTokenizerBase", prompt: list[dict[str, str]]) -> str:
    """The tag that the chat template opens before each answer."""
    opened = opened_by(prompt_text(tokenizer, prompt))
    if opened:
        log.info(
            "the chat template opens a reasoning block; an answer counts once it is closed",
            tag=opened.strip(),
        )
    return opened


def _tokens(tokenizer: "PreTrainedTokenizerBase", prompt: list[dict[str, str]]) -> int:
    text = prompt_text(tokenizer, prompt)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
