"""Lessons: prompts with the answers to teach, drawn from decision points.

Owns the mixture: how many lessons each source contributes, and which points they are about. The
answers of the sources are in :mod:`trainer.sft.decisions` and :mod:`trainer.sft.reading`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from shared.dataset import Message
from shared.decisions import Decision
from shared.errors import DatasetError
from shared.language.completions import render_completion
from shared.language.prompts import PromptForm, in_words
from trainer.evaluation.points import DecisionPoint
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.decisions import (
    RecordedDecisions,
    any_legal,
    best_decision,
    known_worth,
    noisy_rule,
    rule_decision,
)
from trainer.sft.reading import pick_question

__all__ = ["Lesson", "apportioned", "draw_lessons"]


@dataclass(frozen=True)
class Lesson:
    """A prompt and the answer to teach."""

    prompt: tuple[Message, ...]
    answer: str
    source: str
    """One of the names in :class:`trainer.sft.config.LessonShares`."""

    @property
    def conversation(self) -> list[dict[str, str]]:
        """The prompt and the answer as the messages of one conversation."""
        return [*self.messages, {"role": "assistant", "content": self.answer}]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as plain messages."""
        return [message.model_dump() for message in self.prompt]


Teacher = Callable[[DecisionPoint, random.Random], Lesson]


def draw_lessons(points: Sequence[DecisionPoint], config: SFTTrainingConfig) -> list[Lesson]:
    """The lessons of a run; the same for the same points and settings.

    Within each source, every point is drawn once before any is drawn again. The exception is
    ``best`` with ``weight_by_gap``, where the probability of a point is proportional to what is at
    stake. ``best`` leaves out points with no more than ``min_gap_veh`` at stake.

    Args:
        points: The points that the lessons are about; at least one.
        config: What to teach, and how much of it.

    Raises:
        ConfigError: A source does not support the kind of decision that is asked for.
        DatasetError: The points lack what a source needs: outcomes, readable prompts, or the
            dataset's folder.
    """
    recorded = RecordedDecisions()
    teachers = _teachers(config, recorded)
    lessons: list[Lesson] = []
    for name, count in apportioned(config.lessons or len(points), config.source.given).items():
        chance = random.Random(f"{config.seed}/{name}")  # noqa: S311 - no secret
        about = _about(points, name, config, recorded)
        drawn = _drawn(about, count, chance, name == "best" and config.weight_by_gap)
        lessons += [teachers[name](point, chance) for point in drawn]
    random.Random(config.seed).shuffle(lessons)  # noqa: S311 - no secret
    return lessons


def _about(
    points: Sequence[DecisionPoint],
    name: str,
    config: SFTTrainingConfig,
    recorded: RecordedDecisions,
) -> Sequence[DecisionPoint]:
    """The points that a source can teach about."""
    if name == "recorded":
        return recorded.told(points)
    if name != "best" or config.min_gap_veh == 0:
        return points
    clear = [point for point in points if known_worth(point).gap_veh > config.min_gap_veh]
    if not clear:
        raise DatasetError(
            f"the source best has nothing to teach: none of {len(points)} rows has more than "
            f"min_gap_veh = {config.min_gap_veh:g} vehicles at stake; set it lower"
        )
    return clear


def apportioned(total: int, shares: dict[str, float]) -> dict[str, int]:
    """Whole numbers in the given shares that add up to ``total``, by the largest remainders.

    >>> apportioned(5, {"reading": 0.6, "noisy_rule": 0.4})
    {'reading': 3, 'noisy_rule': 2}
    >>> apportioned(1, {"a": 0.5, "b": 0.5})
    {'a': 1, 'b': 0}
    """
    whole = {name: int(total * share) for name, share in shares.items()}
    rests = sorted(shares, key=lambda name: whole[name] - total * shares[name])
    for name in rests[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def _drawn(
    points: Sequence[DecisionPoint], count: int, chance: random.Random, is_weighted: bool
) -> list[DecisionPoint]:
    if is_weighted:
        stakes = [known_worth(point).gap_veh for point in points]
        if any(stakes):
            return chance.choices(points, stakes, k=count)
    drawn: list[DecisionPoint] = []
    while len(drawn) < count:
        drawn += chance.sample(points, min(len(points), count - len(drawn)))
    return drawn


def _teachers(config: SFTTrainingConfig, recorded: RecordedDecisions) -> dict[str, Teacher]:
    deciders: dict[str, Callable[[DecisionPoint, random.Random], Decision]] = {
        "best": lambda point, _: best_decision(point, config.best_by),
        "format": any_legal,
        "noisy_rule": partial(noisy_rule, noise=config.rule_noise),
        "longest_queue": lambda point, _: rule_decision(point, "longest-queue"),
        "most_vehicles": lambda point, _: rule_decision(point, "most-vehicles"),
        "max_pressure": lambda point, _: rule_decision(point, "max-pressure"),
        "recorded": lambda point, _: recorded.decision(point),
    }
    teachers: dict[str, Teacher] = {
        name: partial(_decided, name, decide, config.prompt_form)
        for name, decide in deciders.items()
    }
    return teachers | {"reading": partial(_asked, config.prompt_form)}


def _decided(
    name: str,
    decide: Callable[[DecisionPoint, random.Random], Decision],
    form: PromptForm,
    point: DecisionPoint,
    chance: random.Random,
) -> Lesson:
    return Lesson(_formed(point.prompt, form), render_completion(decide(point, chance)), name)


def _asked(form: PromptForm, point: DecisionPoint, chance: random.Random) -> Lesson:
    (question, _), answer = pick_question(point, chance)
    return Lesson((question, _formed(point.prompt, form)[-1]), answer, "reading")


def _formed(prompt: tuple[Message, ...], form: PromptForm) -> tuple[Message, ...]:
    return in_words(prompt) if form == "words" else prompt
