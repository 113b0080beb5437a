"""``greenfork dataset plans`` on planning problems: what was said and scored, as candidates."""

import json
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from trainer.offline.candidates import load_candidates


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three problems with reference plans."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"problem {number}"}],
            "domain": "planning",
            "problem_id": f"ferry-{number}-abc",
            "problem_file": f"ferry/p{number}.pddl",
            "difficulty": float(number),
            "plan": "(go a)",
            "plan_steps": 1,
        }
        for number in range(3)
    ]
    _write(tmp_path / "train.jsonl", rows)
    (tmp_path / "planning.json").write_text("{}")
    return tmp_path


def _write(file: Path, lines: list[dict[str, Any]]) -> Path:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def _status(dataset: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(["dataset", "plans", str(dataset), "--out", str(dataset / "out.jsonl"), *more])
    return int(ended.value.code or 0)


def _files(folder: Path, said: list[tuple[str, str]], rewards: list[float | None]) -> list[str]:
    answers = [
        {"domain": "planning", "problem_id": problem, "completion": text} for problem, text in said
    ]
    scores = [{"id": None, "status": "scored", "reward": reward} for reward in rewards]
    return [
        *("--answers", str(_write(folder / "said.jsonl", answers))),
        *("--scores", str(_write(folder / "rewards.jsonl", scores))),
    ]


def test_scored_answers_become_queries(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best first; what failed, was said twice, or has nothing beside it, is left out."""
    said = [
        ("ferry-0-abc", "(go b)"),
        ("ferry-0-abc", "(go a)"),
        ("ferry-0-abc", "(go b)"),
        ("ferry-0-abc", "(go c)"),
        ("ferry-1-abc", "(go a)"),
        ("other-9-abc", "(go a)"),
    ]
    files = _files(dataset, said, [0.25, 1.0, 0.25, None, 1.0, 0.0])
    assert _status(dataset, *files, "--json") == 1
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    [group] = load_candidates(dataset / "out.jsonl")
    assert group.prompt[0]["content"] == "problem 0"
    assert [(one.text, one.scored.score) for one in group.candidates] == [
        ("(go a)", 1.0),
        ("(go b)", 0.25),
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "need --model and --url"),
        (("--model", "m"), "need --model and --url"),
    ],
)
def test_the_way_out_is_named(
    dataset: Path, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are two ways to candidates."""
    assert _status(dataset, *more) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("is_shorter", [True, False])
def test_scores_of_other_answers_are_refused(
    dataset: Path, is_shorter: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the number of lines, and by their ids."""
    files = _files(dataset, [("ferry-0-abc", "(go a)")] * 2, [1.0, 0.0])
    lines = [{"id": "mine", "reward": 1.0}] * (1 if is_shorter else 2)
    _write(Path(files[3]), lines)
    assert _status(dataset, *files) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert ("has 2 lines, but" if is_shorter else "line 1:") in said
    assert "of one greenfork score" in said


def test_problems_without_two_answers_are_no_candidates(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty file would only fail later."""
    files = _files(dataset, [("ferry-0-abc", "(go a)")], [1.0])
    assert _status(dataset, *files) == 2
    assert "no problem of" in capsys.readouterr().err
    assert not (dataset / "out.jsonl").exists()
