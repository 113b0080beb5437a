"""Language models as policies: their answers to prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.decisions import Extend
from shared.errors import ConfigError, InvalidDecision
from shared.language.completions import parse_completion
from shared.language.reasoning import opened_by
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress
from trainer.evaluation.generating import Generation, TextGenerator
from trainer.evaluation.points import DecisionPoint
from trainer.grpo.format_reward import STRICT, format_reward

if TYPE_CHECKING:
    from trainer.examples.choosing import ExampleChooser

__all__ = ["Generation", "ModelPolicy", "read_answer"]


@dataclass(frozen=True)
class ModelPolicy:
    """A model, or an adapter on top of one, that answers prompts.

    Args:
        path: A folder, or ``smollm2-135m``.
        generation: How answers are generated.
        examples: Chooses solved points to show before each question; None shows none.
    """

    path: str
    generation: Generation
    examples: "ExampleChooser | None" = None

    @property
    def name(self) -> str:
        """The path, as given, and how examples are chosen."""
        return self.path if self.examples is None else f"{self.path} + {self.examples.way}"

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The answers at each point, ``samples`` of them.

        Raises:
            ModelError: The model is missing or cannot be loaded.
        """
        points = [one.point for one in judged]
        if self.generation.by_likelihood:
            return self._likelier(points, progress)
        generator = TextGenerator.load(self.path, self.generation)
        choices: list[list[PolicyAnswer]] = [[] for _ in points]
        done = 0
        prompts = (
            generator.prompts([point.prompt for point in points])
            if self.examples is None
            else generator.rendered(self.examples.prompts(points))
        )
        for batch, texts in generator.generated(prompts):
            for position, answers in zip(batch, texts, strict=True):
                point, opened = points[position], opened_by(prompts[position])
                choices[position] = [read_answer(text, point, opened) for text in answers]
            done += len(batch)
            progress(self.name, done, len(points))
        return choices

    def _likelier(
        self, points: Sequence[DecisionPoint], progress: Progress
    ) -> list[list[PolicyAnswer]]:
        """The likelier of a *yes* and a *no* at each point.

        Raises:
            ConfigError: Something else than *extend* is asked for.
        """
        from trainer.examples.building import load_reader
        from trainer.examples.solved import shown

        if other := next((one for one in points if one.place.decision_kind != "extend"), None):
            raise ConfigError(
                f"--by-likelihood is for extend decisions; {other.name} asks for more"
            )
        form = self.generation.prompt_form
        prompts = (
            [shown(point.prompt, (), form) for point in points]
            if self.examples is None
            else self.examples.prompts(points)
        )
        shares = load_reader(self.path).yes_shares(prompts).tolist()
        progress(self.name, len(points), len(points))
        return [
            [PolicyAnswer(Extend(extend=yes >= no, extend_s=point.extend_s))]
            for point, (yes, no) in zip(points, shares, strict=True)
        ]


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
        return PolicyAnswer(None, exc.code, is_strict, text)
    return PolicyAnswer(decision, None, is_strict, text)
