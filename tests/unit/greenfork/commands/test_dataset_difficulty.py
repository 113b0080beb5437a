"""``greenfork dataset difficulty``: the buckets of datasets and of planning problems."""

import json
from pathlib import Path

import pytest

from greenfork.main import app


def _status(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(["dataset", "difficulty", *args])
    return int(ended.value.code or 0)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder of two datasets: one of ten samples, one of five that are equal."""
    for scenario, values in {"big": range(10), "flat": [3] * 5}.items():
        folder = tmp_path / scenario
        folder.mkdir()
        lines = [
            {
                "prompt": "?",
                "state_id": f"{scenario}@{number}",
                "scenario": scenario,
                "tls_id": "A",
                "decision_kind": "extend",
                "difficulty": value / 10,
            }
            for number, value in enumerate(values)
        ]
        (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_buckets_of_datasets(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each scenario is a domain, with the samples and the range of every level."""
    assert _status(str(rows), "--json") == 0
    body = json.loads(capsys.readouterr().out)
    big, flat = body["domains"]
    assert (body["samples"], big["domain"], flat["domain"]) == (15, "big", "flat")
    assert big["levels"] == {
        "easy": {"samples": 4, "from": 0.0, "to": 0.3},
        "medium": {"samples": 4, "from": 0.4, "to": 0.7},
        "hard": {"samples": 2, "from": 0.8, "to": 0.9},
    }
    assert flat["levels"]["easy"] == {"samples": 5, "from": 0.3, "to": 0.3}
    assert flat["levels"]["hard"] == {"samples": 0, "from": None, "to": None}


def test_buckets_of_planning_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the names of the files, at any depth; a domain's definition is no problem of it."""
    problems = tmp_path / "rooms"
    for name in ("a/ferry-l4-c2-s1.pddl", "a/ferry-l9-c2-s1.pddl", "a/domain.pddl", "what.pddl"):
        (problems / name).parent.mkdir(parents=True, exist_ok=True)
        (problems / name).touch()
    assert _status(str(problems), "--json") == 0
    domains = json.loads(capsys.readouterr().out.splitlines()[-1])["domains"]
    assert [(one["domain"], one["samples"], one["unreadable"]) for one in domains] == [
        ("ferry", 2, 0),
        ("rooms", 1, 1),
    ]


def test_table(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People are told the size that batches must have, too."""
    assert _status(str(rows)) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("big", "flat", "easy", "40%", "0.8 to 0.9"))
    assert "must be a multiple of 2" in shown


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without either is a usage error that says what was looked for."""
    assert _status(str(tmp_path)) == 2
    assert "contains no dataset" in capsys.readouterr().err
