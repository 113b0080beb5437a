"""Generates a language model's answers to prompts, in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from shared.dataset import Message
from shared.language.prompts import PromptForm
from shared.language.reasoning import opened_by
from trainer.models.chat import prompt_text
from trainer.settings import ModelSettings

if TYPE_CHECKING:
    from trainer.models.loading import LoadedModel

__all__ = ["Generation", "TextGenerator"]


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
    by_likelihood: bool = False
    """Whether *extend* is decided by which answer is likelier, instead of generating one."""
    base_path: str | None = None
    """The base model of an adapter, if it has been moved; None finds it by its digest."""


class TextGenerator:
    """A loaded model.

    Args:
        loaded: The model and its tokenizer.
        generation: How answers are generated.
    """

    def __init__(self, loaded: "LoadedModel", generation: Generation) -> None:
        self._loaded = loaded
        self._generation = generation

    @classmethod
    def load(cls, path: str, generation: Generation) -> Self:
        """Loads a model, or an adapter on top of one, and seeds the sampling.

        Args:
            path: A folder, or ``smollm2-135m``.
            generation: How answers are generated.

        Raises:
            ModelError: It is missing or cannot be loaded.
        """
        import torch
        from transformers.utils.logging import disable_progress_bar

        from trainer.models.loading import load_model, pick_hardware

        disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
        config = ModelSettings(
            model_path=path, base_path=generation.base_path, backend="transformers", lora_rank=0
        )
        loaded = load_model(config, pick_hardware(config))
        torch.manual_seed(generation.seed)
        return cls(loaded, generation)

    def answers(self, asked: Sequence[Sequence[Message]]) -> list[str]:
        """One answer per prompt, preceded by the reasoning tag if the prompt opens a block.

        Raises:
            DatasetError: A prompt cannot be put into words although ``prompt_form`` asks for it.
        """
        prompts = self.prompts(asked)
        return [answers[0] for answers in self._whole(prompts)]

    def samples(self, asked: Sequence[Sequence[Message]]) -> list[list[str]]:
        """All answers to each prompt, otherwise as :meth:`answers`."""
        return self._whole(self.prompts(asked))

    def _whole(self, prompts: Sequence[str]) -> list[list[str]]:
        texts: list[list[str]] = [[]] * len(prompts)
        for batch, found in self.generated(prompts):
            for position, answers in zip(batch, found, strict=True):
                texts[position] = [opened_by(prompts[position]) + one for one in answers]
        return texts

    def prompts(self, asked: Sequence[Sequence[Message]]) -> list[str]:
        """The prompts as the model reads them.

        Raises:
            DatasetError: One cannot be put into words although ``prompt_form`` asks for it.
        """
        from datasets import Dataset

        from trainer.data.prompts import as_asked

        how = self._generation
        rows = [{"prompt": [message.model_dump() for message in one]} for one in asked]
        prompts = as_asked(Dataset.from_list(rows), how.prompt_form, how.has_examples)
        return self.rendered(prompts["prompt"])

    def rendered(self, prompts: Sequence[Sequence[dict[str, str]]]) -> list[str]:
        """Prompts of messages as the model reads them."""
        return [prompt_text(self._loaded.tokenizer, prompt) for prompt in prompts]

    def generated(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], list[list[str]]]]:
        """Batches of positions with their texts; prompts of similar length share a batch."""
        order = sorted(range(len(prompts)), key=lambda position: len(prompts[position]))
        size = self._generation.batch_size
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            yield batch, self._texts([prompts[position] for position in batch])

    def _texts(self, prompts: list[str]) -> list[list[str]]:
        import torch

        tokenizer, samples = self._loaded.tokenizer, self._generation.samples
        tokenizer.padding_side = "left"
        tokens = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        tokens = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        model = self._loaded.model.eval()
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

        asked = self._generation
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
