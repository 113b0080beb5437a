"""Lessons as tokens: what a model reads, and which part of it is the answer to learn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from shared.errors import DatasetError
from trainer.models.chat import answer_frame, prompt_text
from trainer.sft.lessons import Lesson

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

__all__ = ["tokenized"]

_NOT_LEARNED = -100
"""The label of tokens that do not count for the loss: the default of PyTorch's cross-entropy."""

log = structlog.get_logger(__name__)


def tokenized(
    lessons: Sequence[Lesson], tokenizer: "PreTrainedTokenizerBase", max_tokens: int
) -> "Dataset":
    """``input_ids`` and ``labels`` of each lesson, in order; only the answer has labels.

    The answer includes what the chat template puts before and after it, so that a model learns to
    write exactly what should follow the prompt it will be given: see :mod:`trainer.models.chat`.

    Args:
        lessons: The lessons.
        tokenizer: Already set up by :func:`trainer.models.chat.prepare_chat`.
        max_tokens: Longer lessons are left out.

    Raises:
        DatasetError: All lessons are longer.
        ModelError: The tokenizer's chat template refuses a prompt.
    """
    from datasets import Dataset

    frame = answer_frame(tokenizer)
    prompts = [prompt_text(tokenizer, lesson.messages) for lesson in lessons]
    tails = [frame.text(lesson.answer) for lesson in lessons]
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    answers = tokenizer(tails, add_special_tokens=False)["input_ids"]
    rows = []
    for head, answer in zip(heads, answers, strict=True):
        if len(head) + len(answer) <= max_tokens:
            rows.append({"input_ids": head + answer, "labels": [_NOT_LEARNED] * len(head) + answer})
    if not rows:
        raise DatasetError(f"every lesson is longer than max_seq_length = {max_tokens} tokens")
    if len(rows) < len(lessons):
        log.warning("left out long lessons", lessons=len(lessons) - len(rows), tokens=max_tokens)
    return Dataset.from_list(rows)
