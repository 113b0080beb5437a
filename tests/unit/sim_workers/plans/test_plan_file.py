"""A file of candidate plans outlasts an interruption, and is there whole or not at all."""

from pathlib import Path

import pytest

from shared.candidates import PlanRow, ScoredDecision
from shared.decisions import Plan, PlanStep
from shared.errors import ConfigError
from shared.rewards import RewardSpec
from sim_workers.plans.plan_file import PlanFile

_ASKED = {"beam": "2"}


def _row(number: int) -> PlanRow:
    plans = [Plan(steps=(PlanStep(extend=yes),)) for yes in (True, False)]
    return PlanRow(
        prompt=(),
        state_id=f"net@{number}-0123456789ab",
        scenario="net",
        tls_id="A",
        decision_kind="plan",
        current_phase=0,
        elapsed_green_s=5,
        min_green_s=5,
        max_green_s=60,
        time_s=number,
        seed=1,
        restore="state",
        difficulty=0.5,
        id_list=(("yes",), ("no",)),
        score_list=(0.5, 0.1 + 0.2),
        candidates=(
            ScoredDecision(decision=plans[0], reward=0.5),
            ScoredDecision(decision=plans[1], reward=0.1 + 0.2),
        ),
        reward=RewardSpec(),
    )


def _rows(path: Path) -> list[PlanRow]:
    return [PlanRow.model_validate_json(line) for line in path.read_text().splitlines()]


def test_rows_are_written_in_the_order_of_the_dataset(tmp_path: Path) -> None:
    """Not in the order they were found in; rewards to the last bit; nothing is left beside."""
    path = tmp_path / "plans.jsonl"
    file = PlanFile(path, _ASKED)
    assert file.begin() == {}
    for number in (2, 0):
        file.append(_row(number))
    assert not path.exists()
    assert file.finish([_row(0), _row(1), _row(2)]) == 2
    assert _rows(path) == [_row(0), _row(2)]
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_command_goes_on_after_half_a_line(tmp_path: Path) -> None:
    """Whole rows are kept, and the file is whole in the end."""
    path = tmp_path / "plans.jsonl"
    first = PlanFile(path, _ASKED)
    first.begin()
    first.append(_row(0))
    with (tmp_path / ".plans.jsonl.part").open("a") as part:
        part.write('{"prompt":[')
    again = PlanFile(path, _ASKED)
    assert list(again.begin().values()) == [_row(0)]
    again.append(_row(1))
    again.finish([_row(0), _row(1)])
    assert _rows(path) == [_row(0), _row(1)]


def test_another_command_starts_anew(tmp_path: Path) -> None:
    """Rows of another beam are not mixed in."""
    first = PlanFile(tmp_path / "plans.jsonl", _ASKED)
    first.begin()
    first.append(_row(0))
    assert PlanFile(tmp_path / "plans.jsonl", {"beam": "3"}).begin() == {}


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Before anything is simulated."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        PlanFile(tmp_path / "file" / "plans.jsonl", _ASKED).begin()
