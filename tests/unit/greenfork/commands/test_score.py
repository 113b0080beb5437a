"""``greenfork score``, with a service that is a function."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenfork.main import app
from reward_client import RetryPolicy, RewardClient
from tests.unit.reward_client.fake_service import problem, scored

LINE = '{"id": 1, "state_id": "s", "tls_id": "C", "decision": {"extend": true}}\n'
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the verb in a folder with a file of decisions, and gives its exit status."""
    monkeypatch.chdir(tmp_path)

    def run_score(text: str, service: Any, *options: str) -> int:  # noqa: ANN401
        transport = httpx.MockTransport(service)
        client = partial(RewardClient, retry=RetryPolicy(retries=0), transport=transport)
        monkeypatch.setattr("reward_client.RewardClient", client)
        Path("in.jsonl").write_text(text)
        args = ["--url", "http://s", "--input", "in.jsonl", "--output", "out.jsonl"]
        with pytest.raises(SystemExit) as ended:
            app(["score", *args, *options])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run_score


def results() -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_all_scored_is_0(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """And a table says what was done."""
    assert run(LINE * 3, scored) == 0
    assert [result["reward"] for result in results()] == [1.0, 1.0, 1.0]
    assert "mean reward" in capsys.readouterr().out


def test_some_failed_is_1_and_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """By line number and code; the output still matches the input line by line."""
    assert run(LINE + "nonsense\n" + LINE, scored) == 1
    assert [result["reward"] for result in results()] == [1.0, None, 1.0]
    said = capsys.readouterr().err
    assert "line 2" in said
    assert "malformed_json" in said


def test_json_summary(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One value on stdout, with the failures."""
    assert run(LINE + "\n", scored, "--json") == 1
    summary = json.loads(capsys.readouterr().out)
    assert {key: summary[key] for key in ("lines", "scored", "failed", "mean_reward")} == {
        "lines": 2,
        "scored": 1,
        "failed": 1,
        "mean_reward": 1.0,
    }
    assert [(f["line"], f["code"]) for f in summary["failures"]] == [(2, "malformed_json")]


def test_metrics_are_asked_for_by_name(run: Run) -> None:
    """In every request; without a name all are."""
    asked = []

    def heard(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content).get("metrics"))
        return scored(request)

    assert run(LINE * 2, heard, "--metrics", "wait_s", "--metrics", "queue_veh") == 0
    assert run(LINE, heard) == 0
    assert asked == [["wait_s", "queue_veh"], None]


def gone(request: httpx.Request) -> httpx.Response:
    """Nothing listens."""
    raise httpx.ConnectError("refused")


def test_url_that_does_not_answer_is_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names it, nothing is written, and nothing is left lying about."""
    assert run(LINE, gone) == 2
    said = capsys.readouterr().err
    assert "http://s/v1/score does not answer" in said
    assert "service_unreachable" in said
    assert "Traceback" not in said
    assert [path.name for path in Path().iterdir()] == ["in.jsonl"]


def test_failed_run_leaves_the_former_output(run: Run) -> None:
    """A file is replaced when its successor is complete, not before."""
    assert run(LINE, scored) == 0
    before = Path("out.jsonl").read_text()
    assert run(LINE, gone) == 2
    assert Path("out.jsonl").read_text() == before


def test_errors_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Machines read them on stdout."""
    assert run(LINE, gone, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["retryable"]) == ("service_unreachable", True)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--input", "nowhere.jsonl"], "bad_input"),
        (["--output", "nowhere/out.jsonl"], "bad_input"),
        (["--url", "localhost:8000"], "bad_config"),
        (["--reward", "luck"], "unknown_reward"),
        (["--reward", "sum"], "invalid_request"),
        (["--reward", "sum", "--term", "luck=1"], "unknown_reward"),
        (["--reward", "sum", "--term", "queue"], "bad_term"),
        (["--reward", "sum", "--term", "queue=1", "--term", "queue=2"], "bad_term"),
        (["--term", "queue=1"], "invalid_request"),
        (["--follow-up", "luck"], "invalid_request"),
        (["--seed", "-1"], "invalid_request"),
        (["--horizon", "0"], "invalid_request"),
        (["--metrics", "luck"], "unknown_metric"),
        (["--timeout", "0"], "invalid_request"),
        (["--colour", "red"], "usage"),
        (["--batch-size", "0"], "usage"),
    ],
)
def test_unusable_input_is_2(
    run: Run, capsys: pytest.CaptureFixture[str], options: list[str], code: str
) -> None:
    """Each with its code."""
    assert run(LINE, scored, *options, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_reward_is_sent_as_it_was_asked_for(run: Run) -> None:
    """A sum with its terms, seeds, and who follows the decisions up."""
    sent = []

    def noted(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["reward"])
        return scored(request)

    terms = ["--reward", "sum", "--term", "queue_gain=1", "--term", "pressure=0.1"]
    others = ["--horizon", "30", "--follow-up", "max_pressure", "--seed", "1", "--seed", "2"]
    assert run(LINE, noted, *terms, *others) == 0
    assert sent == [
        {
            "name": "sum",
            "terms": {"queue_gain": 1.0, "pressure": 0.1},
            "horizon_s": 30,
            "invalid_reward": -1.0,
            "follow_up": "max_pressure",
            "seeds": [1, 2],
        }
    ]


def test_empty_file_is_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to score."""
    assert run("", scored) == 2
    assert "empty_file" in capsys.readouterr().err


def test_key_is_sent_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not stand in the command's history."""
    monkeypatch.setenv("GREENFORK_API_KEY", "k")

    def keyed(request: httpx.Request) -> httpx.Response:
        is_right = request.headers.get("Authorization") == "Bearer k"
        return scored(request) if is_right else problem(401, "unauthorized")

    assert run(LINE, keyed) == 0
