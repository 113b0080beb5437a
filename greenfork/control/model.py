"""A model or adapter of the trainer, as an answerer of episodes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.errors import GreenforkError
    from shared.wire.episodes import EpisodeControl
    from sim_workers.controllers.controller import AnswererSpec, Question
    from trainer.evaluation import Generation
    from trainer.evaluation.generating import TextGenerator

__all__ = ["model_controllers"]


class ModelAnswerer:
    """Answers all questions of a moment as one batch.

    Args:
        generator: The model.
    """

    def __init__(self, generator: "TextGenerator") -> None:
        self._generator = generator

    def answer(self, questions: "Sequence[Question]") -> "Sequence[str | GreenforkError]":
        """The model's texts."""
        return self._generator.answers([question.prompt for question in questions])


def model_controllers(
    paths: Sequence[str], generation: "Generation", control: "EpisodeControl"
) -> "list[AnswererSpec]":
    """Loads models, and names each ``model``, or ``model:<folder>`` if there are several.

    Raises:
        ConfigError: The generation's form of prompt is not available for this control.
        ModelError: A model is missing or cannot be loaded.
    """
    from sim_workers.controllers.controller import AnswererSpec
    from trainer.evaluation.generating import TextGenerator

    is_extend = control.kind == "extend"
    if not is_extend and (generation.prompt_form == "words" or generation.has_examples):
        raise ConfigError(
            "--prompt-form words and --prompt-examples are for extend decisions; use them with "
            "--protocol program"
        )
    names = _names(paths)
    return [
        AnswererSpec(name, ModelAnswerer(TextGenerator.load(path, generation)))
        for name, path in zip(names, paths, strict=True)
    ]


def _names(paths: Sequence[str]) -> list[str]:
    """Short names if they tell the models apart, else the paths.

    >>> _names(["runs/a/model"])
    ['model']
    >>> _names(["runs/a/model", "runs/b/adapter"])
    ['model:model', 'model:adapter']
    >>> _names(["runs/a/model", "runs/b/model"])
    ['model:runs/a/model', 'model:runs/b/model']
    """
    if len(paths) == 1:
        return ["model"]
    last = [path.rstrip("/").rpartition("/")[2] for path in paths]
    return [f"model:{name}" for name in (last if len(set(last)) == len(last) else paths)]
