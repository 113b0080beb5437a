"""Lessons of planning problems: the reference plans of a dataset's rows."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.dataset import Message
from shared.errors import DatasetError
from shared.language.plans import renumbered
from trainer.data.prompts import load_grpo_dataset
from trainer.data.rows import SOLVE
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.lessons import Lesson

__all__ = ["plan_lessons"]

_MARK = "planning.json"
"""What a dataset folder of ``greenfork dataset planning`` has."""


def plan_lessons(config: SFTTrainingConfig) -> list[Lesson] | None:
    """The lessons of a planning dataset; None where it is one of decision points.

    Every row comes up once before any comes up again.

    Args:
        config: Where the dataset lies, and how many lessons there are.

    Raises:
        DatasetError: A row has no reference plan.
    """
    root = Path(config.dataset_path)
    if not config.dataset_path or not (root / _MARK).is_file():
        return None
    rows = load_grpo_dataset(root).to_list()
    lessons = [_lesson(row, f"{root}, row {number}") for number, row in enumerate(rows, start=1)]
    chance = random.Random(config.seed)  # noqa: S311 - no secret
    drawn: list[Lesson] = []
    wanted = config.lessons or len(lessons)
    while len(drawn) < wanted:
        drawn += chance.sample(lessons, min(len(lessons), wanted - len(drawn)))
    return [_renumbered(one, chance) for one in drawn] if config.shuffle_names else drawn


def _renumbered(lesson: Lesson, chance: random.Random) -> Lesson:
    *before, problem = lesson.prompt
    text, plan = renumbered(problem.content, chance, lesson.answer)
    return Lesson((*before, problem.model_copy(update={"content": text})), plan, lesson.source)


def _lesson(row: Mapping[str, Any], where: str) -> Lesson:
    if row["decision_kind"] != SOLVE or not row.get("plan"):
        raise DatasetError(
            f"{where}: it has no reference plan to teach; build the dataset with a planner"
        )
    prompt = tuple(
        Message.model_validate({"role": one["role"], "content": one["content"]})
        for one in row["prompt"]
    )
    return Lesson(prompt, row["plan"], "plan")
