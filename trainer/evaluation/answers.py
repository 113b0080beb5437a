"""Language models as policies: their answers to prompts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidDecision
from shared.language.completions import parse_completion
from shared.language.prompts import PromptForm
from shared.language.reasoning import opened_by
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress
from trainer.evaluation.points import DecisionPoint
from trainer.grpo.format_reward import STRICT, format_reward
from trainer.models.chat import prompt_text
from trainer.settings import ModelSettings

if TYPE_CHECKING:
    from trainer.models.loading import LoadedModel

__all__ = ["Generation", "ModelPolicy", "read_answer"]


@dataclass(frozen=True)
class Generation:
    """How answers are generated."""

    samples: int = 1
    """Answers per prompt."""
    temperature: float = 0.0
    """0 is greedy: the most probable token each time."""
    max_new_tokens: int = 50
    batch_size: int = 32
    """Prompts per batch."""
    has_examples: bool = False
    """Whether two answered examples precede each prompt's last message, as in training with
    ``prompt_examples``."""
    seed: int = 0
    prompt_form: PromptForm = "json"
    """How prompts describe the state, as in training."""
    base_path: str | None = None
    """The base model of an adapter, if it has been moved; None finds it by its digest."""


@dataclass(frozen=True)
class ModelPolicy:
    """A model, or an adapter on top of one, that answers prompts.

    Args:
        path: A folder, or ``smollm2-135m``.
        generation: How answers are generated.
    """

    path: str
    generation: Generation

    @property
    def name(self) -> str:
        """The path, as given."""
        return self.path

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The answers at each point, ``samples`` of them.

        Raises:
            ModelError: The model is missing or cannot be loaded.
        """
        from transformers.utils.logging import disable_progress_bar

        from trainer.models.loading import load_model, pick_hardware

        disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
        config = ModelSettings(
            model_path=self.path,
            base_path=self.generation.base_path,
            backend="transformers",
            lora_rank=0,
        )
        loaded = load_model(config, pick_hardware(config))
        points = [one.point for one in judged]
        choices: list[list[PolicyAnswer]] = [[] for _ in points]
        done = 0
        prompts = _prompts(loaded.tokenizer, points, self.generation)
        for batch, texts in self._generated(loaded, prompts):
            for position, answers in zip(batch, texts, strict=True):
                point, opened = points[position], opened_by(prompts[position])
                choices[position] = [read_answer(text, point, opened) for text in answers]
            done += len(batch)
            progress(self.name, done, len(points))
        return choices

    def _generated(
        self, loaded: "LoadedModel", prompts: Sequence[str]
    ) -> Iterator[tuple[list[int], list[list[str]]]]:
        """Batches of positions with their texts; prompts of similar length share a batch."""
        import torch

        torch.manual_seed(self.generation.seed)
        order = sorted(range(len(prompts)), key=lambda position: len(prompts[position]))
        size = self.generation.batch_size
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            yield batch, self._answers(loaded, [prompts[position] for position in batch])

    def _answers(self, loaded: "LoadedModel", prompts: list[str]) -> list[list[str]]:
        import torch

        tokenizer, samples = loaded.tokenizer, self.generation.samples
        tokenizer.padding_side = "left"
        tokens = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        tokens = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        model = loaded.model.eval()
        with torch.inference_mode():
            answered = model.generate(
                **{name: value.to(model.device) for name, value in tokens.items()},
                generation_config=self._settings(tokenizer, model),
            )
        texts: list[str] = tokenizer.batch_decode(
            answered[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return [texts[start : start + samples] for start in range(0, len(texts), samples)]

    def _settings(self, tokenizer: Any, model: Any) -> Any:  # noqa: ANN401 - untyped libraries
        from transformers import GenerationConfig

        asked = self.generation
        own = model.generation_config.eos_token_id
        ends = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
        is_sampled = asked.temperature > 0
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=asked.max_new_tokens,
            num_return_sequences=asked.samples,
            do_sample=is_sampled,
            eos_token_id=sorted(ends) or None,
            pad_token_id=tokenizer.pad_token_id,
            **({"temperature": asked.temperature, "top_k": 0, "top_p": 1.0} if is_sampled else {}),
        )


def read_answer(text: str, point: DecisionPoint, opened: str = "") -> PolicyAnswer:
    """The decision in a text; a *yes* without seconds means those stated in the prompt.

    Args:
        text: A completion.
        point: The decision point that it answers.
        opened: The opening tag of a reasoning block, if the prompt ends inside one.
    """
    kind = point.place.decision_kind
    is_strict = format_reward(text, kind, opened) == STRICT
    try:
        decision = parse_completion(opened + text, kind, point.extend_s)
    except InvalidDecision as exc:
        return PolicyAnswer(None, exc.code, is_strict)
    return PolicyAnswer(decision, None, is_strict)


def _prompts(tokenizer: Any, points: Sequence[DecisionPoint], asked: Generation) -> list[str]:  # noqa: ANN401
    """The prompts as the model reads them."""
    from datasets import Dataset

    from trainer.data.prompts import as_asked

    rows = [{"prompt": [message.model_dump() for message in point.prompt]} for point in points]
    prompts = as_asked(Dataset.from_list(rows), asked.prompt_form, asked.has_examples)
    return [prompt_text(tokenizer, prompt) for prompt in prompts["prompt"]]
