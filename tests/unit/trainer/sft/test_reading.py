"""Questions about a state, and their answers."""

import json
import random
from pathlib import Path

import pytest

from shared.dataset import Message
from shared.errors import DatasetError
from shared.language.prompts import Junction, LaneCounts
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import points_of
from trainer.sft.reading import pick_question, questions

JUNCTION = Junction(
    phases={
        0: LaneCounts(queued=4, approaching=1, passed=9),
        2: LaneCounts(queued=3, approaching=7, passed=0),
    },
    current_phase=2,
    elapsed_green=10,
    min_green=5,
    max_green=60,
)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("the most queued vehicles?", {"phase": 0}),
        ("the most vehicles, queued and approaching?", {"phase": 2}),
        ("Which phase is shown now?", {"phase": 2}),
        ("How many seconds has it been shown?", {"seconds": 10}),
        ("How many queued vehicles does phase 0 have?", {"vehicles": 4}),
        ("How many approaching vehicles does phase 2 have?", {"vehicles": 7}),
        ("How many vehicles, queued and approaching, does phase 2 have?", {"vehicles": 10}),
        ("How many queued vehicles does each green phase have?", {"0": 4, "2": 3}),
        ("How many approaching vehicles does each green phase have?", {"0": 1, "2": 7}),
    ],
)
def test_answers_are_those_of_the_state(words: str, answer: dict[str, int]) -> None:
    """Each question is asked once, in the words of the prompts."""
    found = [json.loads(a) for kind in questions(JUNCTION) for asked, a in kind if words in asked]

    assert found == [answer]


def test_what_has_no_single_answer_is_not_asked() -> None:
    """Two phases have the longest queue."""
    tied = JUNCTION.model_copy(update={"phases": {**JUNCTION.phases, 4: JUNCTION.phases[0]}})

    assert not [q for kind in questions(tied) for q, _ in kind if "the most queued" in q]


def test_fractions_of_seconds_stay() -> None:
    """Time in a state need not be whole."""
    asked = questions(JUNCTION.model_copy(update={"elapsed_green": 7.5}))

    assert '{"seconds": 7.5}' in [answer for kind in asked for _, answer in kind]


def test_the_state_stands_where_it_stands_when_a_decision_is_asked_for(tmp_path: Path) -> None:
    """Only the question is another."""
    (point,) = points_of(tmp_path, [Moment(queued=(3, 1))])

    prompt, _ = pick_question(point, random.Random(3))

    assert [message.role for message in prompt] == ["system", "user"]
    assert prompt[1] == point.prompt[-1]
    assert prompt[0] != point.prompt[0]


def test_a_prompt_in_another_form_is_refused(tmp_path: Path) -> None:
    """Nothing is guessed."""
    (point,) = points_of(tmp_path, [Moment()])
    other = (*point.prompt[:1], Message(role="user", content="Busy in the north."))

    with pytest.raises(DatasetError, match="not in the form"):
        pick_question(type(point)(**{**vars(point), "prompt": other}), random.Random(3))
