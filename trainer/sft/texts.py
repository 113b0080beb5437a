"""Lessons as tokens: what a model reads, and which of it is the answer that is learned."""

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
"""The label of tokens that no loss is taken of, as PyTorch's cross-entropy has it."""

log = structlog.get_logger(__name__)


def tokenized(
    lessons: Sequence[Lesson], tokenizer: "PreTrainedTokenizerBase", max_tokens: int
) -> "Dataset":
    """``input_ids`` and ``labels`` of each lesson, in order; labels are those of the answer alone.

    What is learned is what a model should write after the prompt that it will be given: the answer,
    with what the chat template puts before and behind it, see :mod:`trainer.models.chat`.

    Args:
        lessons: What is taught.
        tokenizer: As :func:`trainer.models.chat.prepare_chat` leaves it.
        max_tokens: Lessons that are longer are left out.

    Raises:
        DatasetError: All of them are.
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
