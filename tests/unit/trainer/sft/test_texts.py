"""Lessons as tokens: only the answer is learned."""

from pathlib import Path

import pytest

from shared.errors import DatasetError
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import points_of
from trainer.grpo.format_reward import STRICT, format_reward
from trainer.models.small_model import learn_tokenizer
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.lessons import Lesson, draw_lessons
from trainer.sft.texts import tokenized


@pytest.fixture
def lessons(tmp_path: Path) -> list[Lesson]:
    """Twelve decisions by rule."""
    points = points_of(tmp_path, [Moment(queued=(n, 4), approaching=(n, 0)) for n in range(12)])
    return draw_lessons(points, SFTTrainingConfig.checked({"source": "longest_queue"}))


def test_the_prompt_is_given_and_the_answer_is_learned(lessons: list[Lesson]) -> None:
    """What stands before the answer is exactly what a model is given when it is asked."""
    tokenizer = learn_tokenizer([lesson.conversation for lesson in lessons], 512)

    rows = tokenized(lessons, tokenizer, 512).to_list()

    for lesson, row in zip(lessons, rows, strict=True):
        given = [t for t, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0]
        learned = [label for label in row["labels"] if label >= 0]
        asked = tokenizer.apply_chat_template(
            lesson.messages, add_generation_prompt=True, tokenize=False
        )
        assert row["input_ids"] == given + learned
        assert tokenizer.decode(given) == asked
        assert tokenizer.decode(learned) == f"{lesson.answer}<|end|>"


def test_long_lessons_are_left_out(lessons: list[Lesson]) -> None:
    """Where all are too long, that is said with the limit."""
    tokenizer = learn_tokenizer([lesson.conversation for lesson in lessons], 512)
    lengths = [len(row["input_ids"]) for row in tokenized(lessons, tokenizer, 512).to_list()]
    long = Lesson(lessons[0].prompt * 2, lessons[0].answer, "format")

    kept = tokenized([*lessons, long], tokenizer, max(lengths))

    assert len(kept) == len(lessons)
    with pytest.raises(DatasetError, match="longer than max_seq_length = 5 tokens"):
        tokenized(lessons, tokenizer, 5)


@pytest.mark.parametrize("opened", ["<think>", "<think>\n"])
def test_a_block_that_the_template_opens_is_taught_to_be_closed(
    lessons: list[Lesson], opened: str
) -> None:
    """At once, as the template's own answers have no reasoning; what is taught is strict."""
    tokenizer = learn_tokenizer([lesson.conversation for lesson in lessons], 512)
    asking = "{%- if add_generation_prompt -%}<|assistant|>"
    assert asking in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(
        asking, f"{asking}{{{{ {opened!r} }}}}"
    )

    rows = tokenized(lessons, tokenizer, 512).to_list()

    for lesson, row in zip(lessons, rows, strict=True):
        learned = str(tokenizer.decode([label for label in row["labels"] if label >= 0]))
        asked = str(tokenizer.decode(row["input_ids"]))[: -len(learned)]
        assert asked.endswith(opened)
        assert opened + learned == f"<think>\n\n</think>\n\n{lesson.answer}<|end|>"
        assert format_reward(learned.removesuffix("<|end|>"), "extend", opened) == STRICT
