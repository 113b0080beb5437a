"""Episodes of one answerer, stepping together: all their questions at a step are one batch."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field

from shared.errors import GreenforkError
from shared.language.completions import MAX_SENT_CHARS
from shared.language.surrogates import mark_half_pairs
from shared.wire.episodes import StepRequest
from shared.wire.error_info import ErrorInfo
from sim_workers.controllers.control_run import ControlRun
from sim_workers.controllers.controller import AnswererSpec, DrivenEpisode, Question
from sim_workers.controllers.starting import EpisodeStarter, Start

__all__ = ["Lockstep"]


@dataclass
class _Drive:
    """An episode that is running, or could not be started."""

    seed: int
    episode: DrivenEpisode | None = None
    error: ErrorInfo | None = None
    decisions: int = 0
    invalid: int = 0
    deciding_s: float = 0
    texts: dict[str, str] = field(default_factory=dict)
    """Texts for the coming step, by signal."""

    @property
    def is_going(self) -> bool:
        return self.error is None and self.episode is not None and not self.episode.is_over

    def fail(self, error: GreenforkError) -> None:
        self.error = ErrorInfo.of(error)
        if self.episode is not None:
            self.episode.kill()


class Lockstep:
    """Drives episodes together.

    Args:
        spec: The answerer.
        starter: Starts the episodes.
        executor: Steps them side by side.
        on_step: Called with the simulated seconds of each step, from any thread.
        is_stopped: Whether to give up at the next step.
    """

    def __init__(
        self,
        spec: AnswererSpec,
        starter: EpisodeStarter,
        executor: Executor,
        on_step: Callable[[float], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._spec = spec
        self._starter = starter
        self._executor = executor
        self._on_step = on_step
        self._is_stopped = is_stopped

    def run(self, seeds: Sequence[int]) -> list[ControlRun]:
        """One episode per seed, in order; one that fails is a run with an error."""
        began_s = time.monotonic()
        with ExitStack() as stack:
            drives = [_Drive(seed) for seed in seeds]
            for drive in drives:
                stack.callback(_close, drive)
            list(self._executor.map(self._begin, drives))
            while going := [drive for drive in drives if drive.is_going]:
                if self._is_stopped():
                    break
                self._ask(going)
                list(self._executor.map(self._step, going))
            return list(self._executor.map(lambda one: self._end(one, began_s), drives))

    def _begin(self, drive: _Drive) -> None:
        try:
            drive.episode = self._starter.start(Start(drive.seed, observe=("prompt",)))
        except GreenforkError as exc:
            drive.fail(exc)

    def _ask(self, drives: Sequence[_Drive]) -> None:
        """Asks the questions of all episodes as one batch, and gives each its answers."""
        asked = [(drive, question) for drive in drives for question in _questions(drive)]
        if not asked:
            return
        began_s = time.monotonic()
        answers = self._spec.answerer.answer([question for _, question in asked])
        took_s = time.monotonic() - began_s
        shares = Counter(drive.seed for drive, _ in asked)
        for drive in drives:
            drive.deciding_s += took_s * shares[drive.seed] / len(asked)
        for (drive, question), answer in zip(asked, answers, strict=True):
            if isinstance(answer, GreenforkError):
                drive.fail(answer)
            else:
                drive.texts[question.tls_id] = readable(answer)

    def _step(self, drive: _Drive) -> None:
        episode, texts, drive.texts = drive.episode, drive.texts, {}
        if episode is None or drive.error is not None:
            return
        before_s = episode.answer.time_s
        try:
            answer = episode.step(StepRequest(step=episode.steps, completions=texts))
        except GreenforkError as exc:
            drive.fail(exc)
            return
        drive.decisions += len(texts)
        drive.invalid += len(answer.invalid)
        self._on_step(answer.time_s - before_s)

    def _end(self, drive: _Drive, began_s: float) -> ControlRun:
        finished = None
        if drive.episode is not None and drive.error is None:
            try:
                finished = drive.episode.finish()
            except GreenforkError as exc:
                drive.fail(exc)
        return ControlRun(
            self._spec.name,
            drive.seed,
            finished,
            drive.error,
            decisions=drive.decisions,
            invalid=drive.invalid,
            deciding_s=drive.deciding_s,
            wall_s=time.monotonic() - began_s,
        )


def readable(text: str) -> str:
    r"""A text in the form that a step accepts; no decision can be read from one changed here.

    A text that is too long is cut: what is left is still too long for an answer, or an unfinished
    reasoning.

    >>> readable('{"next_phase_id": 2}'), len(readable("x" * 1_000_000))
    ('{"next_phase_id": 2}', 262144)
    """
    return mark_half_pairs(text)[:MAX_SENT_CHARS]


def _questions(drive: _Drive) -> list[Question]:
    """The present questions about an episode, where there is a choice."""
    assert drive.episode is not None  # noqa: S101
    return [
        Question(drive.seed, tls_id, seen.prompt)
        for tls_id, seen in sorted(drive.episode.answer.signals.items())
        if seen.prompt is not None and len(seen.legal) > 1
    ]


def _close(drive: _Drive) -> None:
    if drive.episode is not None:
        drive.episode.close()
