"""``greenfork dataset plans``: exact rewards out of the pool or a service, into both forms."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from shared.decisions import Plan
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResult
from tests.integration.trainer.small_service import SmallService, running
from trainer.offline.candidates import load_candidates


def _plans(arguments: list[str], printed: pytest.CaptureFixture[str]) -> tuple[object, Any]:
    with pytest.raises(SystemExit) as ended:
        app(["dataset", "plans", *arguments, "--json"])
    return ended.value.code, json.loads(printed.readouterr().out.splitlines()[-1])


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_pool_scores_plans_exactly(
    dataset_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan of one step leads to what the extend decision led to when the dataset was built."""
    dataset, out = dataset_of("crossing"), tmp_path / "plans.jsonl"
    arguments = [str(dataset), "--out", str(out), "--states", "3", "--depth", "1"]
    status, said = _plans([*arguments, "--reward", "queue", "--workers", "2"], capsys)
    assert (status, said["rows"], said["failed"]) == (0, 3, [])
    known = {row["state_id"]: row["outcomes"] for row in _rows(dataset / "train.jsonl")}
    for row in _rows(out):
        found = {
            word: score for (word,), score in zip(row["id_list"], row["score_list"], strict=True)
        }
        yes, no = known[row["state_id"]]
        assert yes["decision"]["extend"] is True
        assert found == {"yes": -yes["metrics"]["queue_veh"], "no": -no["metrics"]["queue_veh"]}


def _more_yes_is_better(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
    assert isinstance(item.decision, Plan)
    reward = float(sum(step.extend for step in item.decision.steps))
    return ScoreResult(id=item.id, status="scored", reward=reward, decision=item.decision)


def test_a_service_is_asked_where_one_is_named(
    dataset_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The candidates are then what the trainer reads; what the service asked for is said."""
    out = tmp_path / "plans.jsonl"
    service = SmallService(_more_yes_is_better)
    with running(service) as url:
        arguments = [str(dataset_of("crossing")), "--out", str(out), "--url", url]
        status, said = _plans([*arguments, "--states", "2", "--depth", "3", "--beam", "5"], capsys)
    assert (status, said["rows"]) == (0, 2)
    assert [len(request.items) for request in service.requests] == [2, 4, 8] * 2
    for row in _rows(out):
        assert row["score_list"] == [3, 2, 2, 2, 1]
        assert row["id_list"][0] == ["yes", "yes", "yes"]
        assert row["reward"]["name"] == "queue_gain"
    groups = load_candidates(out)
    assert groups[0].candidates[0].text == '["yes", "yes", "yes"]'
    assert [one.score for one in groups[1].scored] == [3, 2, 2, 2, 1]


def test_what_fails_is_listed_and_left_out(
    dataset_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a row with a number that was not simulated; and the same command goes on."""
    dataset, out = dataset_of("crossing"), tmp_path / "plans.jsonl"
    broken = _rows(dataset / "train.jsonl")[0]["state_id"]

    def answer(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        if item.state_id != broken:
            return _more_yes_is_better(item, request)
        error = ErrorInfo(code="rollout_rejected", message="no", retryable=False)
        return ScoreResult(id=item.id, status="failed", reward=None, error=error)

    with running(SmallService(answer)) as url:
        arguments = [str(dataset), "--out", str(out), "--url", url, "--states", "3"]
        status, said = _plans(arguments, capsys)
    assert (status, said["rows"]) == (1, 2)
    assert [(one["state_id"], one["error"]["code"]) for one in said["failed"]] == [
        (broken, "rollout_rejected")
    ]
    assert broken not in {row["state_id"] for row in _rows(out)}
