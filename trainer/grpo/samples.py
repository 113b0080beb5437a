"""Samples of prompts and answers, by step, for whoever wants to see what a model says.

``greenfork report`` shows them. A few lines a step; the metrics count all answers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.grpo.batch_scorer import Completions, ScoredBatch
from trainer.runs.history import read_metrics

__all__ = ["SampleFile"]

EVERY_STEPS = 5
_MOST = 2
"""Of a batch: its first answer, and the first that is invalid."""


class SampleFile:
    """Appends samples to a JSON lines file.

    Args:
        path: The file.
        prompt_of: The messages of a row, by state and signal.
        step: The step that is being made; also called before the first.
    """

    def __init__(
        self,
        path: Path,
        prompt_of: Callable[[str, str], Sequence[Mapping[str, str]]],
        step: Callable[[], int],
    ) -> None:
        self._path = path
        self._prompt_of = prompt_of
        self._step = step
        self._last: int | None = None

    def begin(self, step: int) -> None:
        """Removes what comes after a resumed run's ``step``, which it will write again."""
        kept = [line for line in read_metrics(self._path) if line["step"] <= step] if step else []
        self._path.write_text("".join(map(_line, kept)), encoding="utf-8")

    def take(self, batch: Completions, scored: Sequence[ScoredBatch]) -> None:
        """Writes some of a batch, at every fifth step."""
        step = self._step() + 1
        if step == self._last or (step - 1) % EVERY_STEPS:
            return
        self._last = step
        invalid = (i for i, one in enumerate(scored) if one.status == "invalid")
        places = dict.fromkeys([0, *[i for i in (next(invalid, None),) if i is not None]])
        with self._path.open("a", encoding="utf-8") as file:
            for place in list(places)[:_MOST]:
                state_id, tls_id = batch.state_ids[place], batch.tls_ids[place]
                prompt = [dict(message) for message in self._prompt_of(state_id, tls_id)]
                result = scored[place]
                sample = {"step": step, "state_id": state_id, "tls_id": tls_id, "prompt": prompt}
                sample |= {"answer": batch.texts[place], "status": result.status}
                file.write(_line(sample | {"code": result.code, "reward": result.reward}))


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values) + "\n"
