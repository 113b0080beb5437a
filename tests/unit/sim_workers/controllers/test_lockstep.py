"""Episodes of one answerer, step by step together."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from shared.dataset import Message
from shared.errors import GreenforkError, RolloutCrashed, ServiceUnreachable
from shared.language.surrogates import HALF_PAIR
from shared.wire.episodes import ShowPhase, SignalObservation, StepAnswer, StepRequest
from sim_workers.controllers.control_run import ControlRun
from sim_workers.controllers.controller import AnswererSpec, DrivenEpisode, Question
from sim_workers.controllers.lockstep import Lockstep
from sim_workers.controllers.starting import EpisodeStarter, Start

Answer = Callable[[Question], "str | GreenforkError"]


@dataclass
class _PlayedEpisode:
    """Two signals for three steps; at ``b`` there is never a choice."""

    seed: int
    steps: int = 0
    asked: list[StepRequest] = field(default_factory=list)
    dies_at: int | None = None
    is_killed: bool = False

    @property
    def is_over(self) -> bool:
        return self.steps == 3

    @property
    def answer(self) -> StepAnswer:
        choices = tuple(ShowPhase(next_phase=phase) for phase in (0, 2))
        prompt = (Message(role="user", content=f"{self.seed}/{self.steps}"),)
        signals = {
            "a": SignalObservation(
                current_phase=0, elapsed_green_s=10, legal=choices, prompt=prompt
            ),
            "b": SignalObservation(
                current_phase=0, elapsed_green_s=1, legal=choices[:1], prompt=prompt
            ),
        }
        return StepAnswer(
            episode_id="e", step=self.steps, time_s=10.0 * self.steps, signals=signals
        )

    def step(self, request: StepRequest) -> StepAnswer:
        if self.steps == self.dies_at:
            raise RolloutCrashed("it died")
        self.asked.append(request)
        self.steps += 1
        return self.answer

    def finish(self) -> Any:  # noqa: ANN401
        return None

    def kill(self) -> None:
        self.is_killed = True

    def close(self) -> None:
        """Nothing to let go."""


@dataclass
class _Played:
    """Episodes by seed, and what was asked at each step."""

    answer: Answer = lambda question: '{"next_phase_id": 2}'
    episodes: dict[int, _PlayedEpisode] = field(default_factory=dict)
    batches: list[list[Question]] = field(default_factory=list)
    stepped_s: list[float] = field(default_factory=list)

    def start(self, start: Start) -> DrivenEpisode:
        assert start.observe == ("prompt",)
        return cast(
            "DrivenEpisode", self.episodes.setdefault(start.seed, _PlayedEpisode(start.seed))
        )

    def ask(self, questions: Sequence[Question]) -> Sequence[str | GreenforkError]:
        self.batches.append(list(questions))
        return [self.answer(question) for question in questions]

    def run(self, *seeds: int) -> list[ControlRun]:
        class Asked:
            answer = staticmethod(self.ask)

        with ThreadPoolExecutor(2) as executor:
            lockstep = Lockstep(
                AnswererSpec("model", Asked()),
                cast("EpisodeStarter", self),
                executor,
                self.stepped_s.append,
                lambda: False,
            )
            return lockstep.run(seeds)


def test_all_episodes_ask_in_one_batch_at_each_step() -> None:
    """Only where there is a choice; and each gets the answers to its own questions."""
    played = _Played(lambda question: f"{question.prompt[0].content}!")
    runs = played.run(1, 2, 3)
    assert [[(one.seed, one.tls_id) for one in batch] for batch in played.batches] == [
        [(1, "a"), (2, "a"), (3, "a")]
    ] * 3
    for seed, episode in played.episodes.items():
        texts = [one.completions for one in episode.asked]
        assert texts == [{"a": f"{seed}/{step}!"} for step in range(3)]
    assert [(run.seed, run.decisions, run.error) for run in runs] == [
        (1, 3, None),
        (2, 3, None),
        (3, 3, None),
    ]
    assert sum(played.stepped_s) == 3 * 30


def test_who_cannot_be_asked_fails_that_episode_alone() -> None:
    """Nothing is decided in its place, and the others go on."""
    played = _Played(
        lambda question: ServiceUnreachable("gone") if question.prompt[0].content == "2/1" else "x"
    )
    first, second = played.run(1, 2)
    assert (first.error, first.decisions) == (None, 3)
    assert second.error is not None
    assert second.error.code == "service_unreachable"
    assert len(played.episodes[2].asked) == 1
    assert played.episodes[2].is_killed


def test_an_episode_that_dies_is_not_asked_about_any_more() -> None:
    """The others finish."""
    played = _Played()
    played.episodes[1] = _PlayedEpisode(1, dies_at=1)
    first, second = played.run(1, 2)
    assert first.error is not None
    assert second.error is None
    assert [[one.seed for one in batch] for batch in played.batches] == [[1, 2], [1, 2], [2]]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("", ""),
        ("half \ud83d", f"half {HALF_PAIR}"),
        ("x" * 300_000, "x" * 262_144),
    ],
)
def test_any_text_is_handed_on_to_be_judged(text: str, sent: str) -> None:
    """Also one that a step would not take as it is."""
    played = _Played(lambda question: text)
    [run] = played.run(1)
    assert run.error is None
    assert [one.completions["a"] for one in played.episodes[1].asked] == [sent] * 3


def test_the_time_of_a_batch_is_shared_by_its_questions() -> None:
    """So that the seconds per decision of all episodes add up to what the batches took."""
    runs = _Played().run(1, 2)
    assert runs[0].deciding_s == pytest.approx(runs[1].deciding_s)
    assert runs[0].deciding_s > 0
