"""Texts of a model, each at the point that it answers."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.decisions import Extend
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.answers import Generation, ModelPolicy, read_answer
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.generating import TextGenerator
from trainer.evaluation.points import read_points
from trainer.evaluation.worth import stored_worth


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('{"extend": "yes"}', PolicyAnswer(Extend(extend=True, extend_s=7), None, True)),
        ('Sure: {"extend": "no"}', PolicyAnswer(Extend(extend=False, extend_s=7), None, False)),
        (
            '{"extend": "yes", "extend_sec": 9}',
            PolicyAnswer(Extend(extend=True, extend_s=9), None, True),
        ),
        (
            '{"extend": "yes", "extend_sec": 5}',
            PolicyAnswer(Extend(extend=True, extend_s=5), None, True),
        ),
        ("yes", PolicyAnswer(None, "no_json", False)),
        ('{"extend": true}', PolicyAnswer(None, "wrong_value", False)),
    ],
)
def test_texts_are_read_as_the_service_does(
    tmp_path: Path, text: str, choice: PolicyAnswer
) -> None:
    """A yes means the seconds that the prompt says, unless it says its own."""
    [point] = read_points([save_dataset(tmp_path / "net", [Moment()], extend_s=7)], "eval")
    assert read_answer(text, point) == choice


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_answers_stand_where_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """Prompts of like length are answered together, and every answer goes back to its own."""

    class Tokenizer:
        def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> str:
            return messages[-1]["content"]

    def answers(self: TextGenerator, prompts: list[str]) -> list[list[str]]:
        assert len(prompts) <= batch_size
        return [
            ['{"extend": "yes"}', "no"] if '"queued":1,' in prompt else ['{"extend": "no"}', "yes"]
            for prompt in prompts
        ]

    monkeypatch.setattr("trainer.models.loading.check_model", lambda path: None)
    monkeypatch.setattr(
        "trainer.models.loading.load_model", lambda *_: SimpleNamespace(tokenizer=Tokenizer())
    )
    monkeypatch.setattr(TextGenerator, "_texts", answers)
    moments = [Moment(queued=pair) for pair in ((1, 999), (25, 25), (1, 7), (300, 3), (1, 50))]
    points = read_points([save_dataset(tmp_path / "net", moments)], "eval")
    worths = [stored_worth(point.outcomes or (), "queue") for point in points]
    judged = [Judged(point, worth) for point, worth in zip(points, worths, strict=True) if worth]
    done: list[tuple[int, int]] = []
    policy = ModelPolicy("somewhere", Generation(samples=2, batch_size=batch_size))
    chosen = policy.choose(judged, lambda _, now, of: done.append((now, of)))
    assert [[one.decision for one in each] for each in chosen] == [
        [Extend(extend=is_yes), None] for is_yes in (True, False, True, False, True)
    ]
    assert done[-1] == (5, 5)
