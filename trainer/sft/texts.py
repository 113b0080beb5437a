"""Lessons as tokens: what a model reads, and which of it is the answer that is learned."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from shared.errors import DatasetError, ModelError
from trainer.sft.lessons import Lesson

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

__all__ = ["tokenized"]

_NOT_LEARNED = -100
"""The label of tokens that no loss is taken of, as PyTorch's cross-entropy has it."""

_SEEN_CHARS = 40

log = structlog.get_logger(__name__)


def tokenized(
    lessons: Sequence[Lesson], tokenizer: "PreTrainedTokenizerBase", max_tokens: int
) -> "Dataset":
    """``input_ids`` and ``labels`` of each lesson, in order; labels are those of the answer alone.

    The prompt is split off where generation would begin, so that a model learns to go on exactly
    from what it will be given. Tokens are the same as TRL makes of ``prompt`` and ``completion``;
    it makes them row by row, which took longer than training a small model on them.

    Args:
        lessons: What is taught.
        tokenizer: With a chat template.
        max_tokens: Lessons that are longer are left out.

    Raises:
        DatasetError: All of them are.
        ModelError: The tokenizer's chat template does not let a conversation begin with the prompt
            that asks for its answer.
    """
    from datasets import Dataset

    prompts = tokenizer.apply_chat_template(
        [lesson.messages for lesson in lessons], add_generation_prompt=True, tokenize=False
    )
    wholes = tokenizer.apply_chat_template(
        [lesson.conversation for lesson in lessons], tokenize=False
    )
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    rows = []
    tails = [_answer(whole, prompt) for whole, prompt in zip(wholes, prompts, strict=True)]
    answers = tokenizer(tails, add_special_tokens=False)["input_ids"]
    for head, answer in zip(heads, answers, strict=True):
        if len(head) + len(answer) <= max_tokens:
            rows.append({"input_ids": head + answer, "labels": [_NOT_LEARNED] * len(head) + answer})
    if not rows:
        raise DatasetError(f"every lesson is longer than max_seq_length = {max_tokens} tokens")
    if len(rows) < len(lessons):
        log.warning("left out long lessons", lessons=len(lessons) - len(rows), tokens=max_tokens)
    return Dataset.from_list(rows)


def _answer(whole: str, prompt: str) -> str:
    """What a conversation goes on with after its prompt."""
    if not whole.startswith(prompt):
        raise ModelError(
            "the chat template cannot be taught with: the prompt that asks for an answer ends in "
            f"{prompt[-_SEEN_CHARS:]!r}, and a conversation with its answer does not begin with "
            "that prompt; take a chat template whose generation prompt adds nothing that answers "
            "lack, such as <think>",
            "unusable_chat_template",
        )
    return whole[len(prompt) :]
