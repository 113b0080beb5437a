"""Samples of prompts and answers: few, by step, and the same after a resumption."""

import json
from pathlib import Path
from typing import Any

from trainer.grpo.batch_scorer import Completions, ScoredBatch
from trainer.grpo.samples import EVERY_STEPS, SampleFile

BATCH = Completions(
    texts=["yes", "hm", "no"],
    state_ids=["s1", "s2", "s3"],
    tls_ids=["c", "c", "c"],
    kinds=["extend", "extend", "extend"],
)
SCORED = [
    ScoredBatch("scored", -3.5),
    ScoredBatch("invalid", -1.0, "no_json"),
    ScoredBatch("invalid", -1.0, "no_json"),
]


class Run:
    """A run that is at some step."""

    def __init__(self, path: Path) -> None:
        self.step = 0
        self.path = path
        self.file = SampleFile(path, self.prompt_of, lambda: self.step)

    def prompt_of(self, state_id: str, tls_id: str) -> list[dict[str, str]]:
        """A prompt that names its row."""
        return [{"role": "user", "content": f"{state_id} {tls_id}"}]

    def go(self, to: int) -> None:
        """Makes steps."""
        while self.step < to:
            self.file.take(BATCH, SCORED)
            self.step += 1

    def lines(self) -> list[dict[str, Any]]:
        """What was written."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def test_first_and_first_invalid(tmp_path: Path) -> None:
    """Each with its prompt and what became of it."""
    run = Run(tmp_path / "samples.jsonl")
    run.file.begin(0)
    run.go(1)
    first, invalid = run.lines()
    assert (first["step"], first["answer"], first["reward"]) == (1, "yes", -3.5)
    assert first["prompt"] == [{"role": "user", "content": "s1 c"}]
    assert (invalid["answer"], invalid["status"], invalid["code"]) == ("hm", "invalid", "no_json")


def test_every_fifth_step(tmp_path: Path) -> None:
    """A batch that is scored twice within a step counts once."""
    run = Run(tmp_path / "samples.jsonl")
    run.file.begin(0)
    run.file.take(BATCH, SCORED)
    run.go(2 * EVERY_STEPS + 1)
    assert [line["step"] for line in run.lines()] == [1, 1, 6, 6, 11, 11]


def test_resumed(tmp_path: Path) -> None:
    """What the resumed run will write again is removed, and nothing else."""
    run = Run(tmp_path / "samples.jsonl")
    run.file.begin(0)
    run.go(11)
    whole = run.lines()
    again = Run(run.path)
    again.step = 8
    again.file.begin(8)
    assert [line["step"] for line in again.lines()] == [1, 1, 6, 6]
    again.go(11)
    assert again.lines() == whole
