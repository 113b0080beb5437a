"""Solved decision points, and prompts that show some of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from shared.dataset import Message
from shared.decisions import Extend
from shared.errors import DatasetError
from shared.language.completions import render_completion
from shared.language.prompts import PromptForm, in_words
from shared.model import WireModel
from trainer.data.prompts import read_records
from trainer.records import Record

__all__ = ["ExamplePool", "ExamplesRecord", "SolvedPoint", "shown"]


class SolvedPoint(WireModel):
    """One line of ``pool.jsonl``: a decision point and its best decision."""

    text: str
    """The question and the answer, for people to read."""
    prompt: tuple[Message, ...]
    extend: bool
    """The best decision."""
    state_id: str
    tls_id: str

    @property
    def answer(self) -> str:
        """The answer of a perfect model."""
        return render_completion(Extend(extend=self.extend))


class ExamplesRecord(Record):
    """How the files of a folder were made."""

    file_name: ClassVar[str] = "examples.json"

    model: str
    """The model whose certainty scored the sequences, and which computed the embeddings."""
    prompt_form: PromptForm
    length: int
    """Number of examples in a prompt."""


@dataclass(frozen=True)
class ExamplePool:
    """A folder made by ``greenfork dataset examples``."""

    root: Path

    @property
    def record(self) -> ExamplesRecord:
        """How the folder was made.

        Raises:
            DatasetError: It is not a folder of examples.
        """
        found = ExamplesRecord.read(self.root)
        if found is None:
            raise DatasetError(
                f"{self.root} is not a folder of examples: make one with greenfork dataset examples"
            )
        return found

    @property
    def pool(self) -> Path:
        """The solved points."""
        return self.root / "pool.jsonl"

    @property
    def beams(self) -> Path:
        """Scored sequences of solved points, by query."""
        return self.root / "beams.json"

    @property
    def pool_embeddings(self) -> Path:
        """Embeddings of the solved points."""
        return self.root / "pool.npz"

    @property
    def query_embeddings(self) -> Path:
        """Embeddings of the queries."""
        return self.root / "queries.npz"

    def points(self) -> tuple[SolvedPoint, ...]:
        """The solved points, by position.

        Raises:
            DatasetError: A line is not a solved point.
        """
        try:
            return tuple(SolvedPoint.model_validate(row) for row in read_records(self.pool))
        except ValidationError as exc:
            raise DatasetError(f"{self.pool} is not a pool of solved points: {exc}") from exc

    def write_points(self, points: Sequence[SolvedPoint]) -> None:
        """Writes the solved points, by position."""
        lines = [json.dumps(one.model_dump(mode="json")) + "\n" for one in points]
        self.pool.write_text("".join(lines), encoding="utf-8")


def shown(
    prompt: Sequence[Message], examples: Sequence[SolvedPoint], form: PromptForm
) -> list[dict[str, str]]:
    """A prompt with solved points between its system message and its question.

    Args:
        prompt: A system and a user message.
        examples: The solved points in the order in which to show them.
        form: How states are described.
    """
    asked = in_words(prompt) if form == "words" else prompt
    found = [message.model_dump() for message in asked]
    turns = []
    for one in examples:
        told = in_words(one.prompt) if form == "words" else one.prompt
        turns.append({"role": "user", "content": told[-1].content})
        turns.append({"role": "assistant", "content": one.answer})
    return [*found[:-1], *turns, found[-1]]
