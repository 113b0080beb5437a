"""``greenfork evaluate``: tables, JSON, pictures, and exit statuses."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from greenfork.main import app
from shared.errors import ConfigError
from tests.unit.trainer.evaluation.outcome_service import Service
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation import EvaluationPlan, Generation

MOMENTS = [
    Moment(yes_veh=4.0, no_veh=3.0, queued=(1, 2), difficulty=0.1),
    Moment(yes_veh=2.0, no_veh=2.0625, queued=(2, 1), run="seed2", difficulty=0.9),
]


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    """Two points of two runs."""
    return str(save_dataset(tmp_path / "net", MOMENTS))


def run(*args: str) -> int:
    """The exit status of an evaluation."""
    with pytest.raises(SystemExit) as ended:
        app(["evaluate", *args])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def as_json(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    """What is printed for machines."""
    assert run(*args, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_table_has_every_baseline(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is named; with intervals, and what is meant by clear."""
    assert run("--dataset", dataset) == 0
    said = capsys.readouterr().out
    names = ("always-yes", "always-no", "random", "longest-queue", "most-vehicles", "max-pressure")
    assert all(name in said for name in (*names, "oracle"))
    assert "2 decision points of 2 runs, queue over 60 s" in said
    assert "95% interval" in said
    assert "by more than 0.1" in said
    assert "0.000–1.000" in said


def test_table_says_why_there_is_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run tells nothing of how runs differ."""
    root = save_dataset(tmp_path / "one", [Moment(), Moment()])
    assert run("--dataset", str(root)) == 0
    assert "No intervals: all points are from one simulation run." in capsys.readouterr().out


def test_groups_are_shown_where_asked_for(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By scenario and by difficulty, with the number of points in each."""
    run("--dataset", dataset, "--baseline", "oracle", "--by", "domain", "--by", "difficulty")
    said = capsys.readouterr().out
    assert "net (2)" in said
    assert "0.00-0.33 (1)" in said
    assert "0.67-1.00 (1)" in said


def test_json_has_all_of_it(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Groups included, in the order in which policies were named, each once."""
    names = ["most-vehicles", "always-yes", "most-vehicles"]
    found = as_json(
        capsys, "--dataset", dataset, *(arg for name in names for arg in ("--baseline", name))
    )
    assert [one["policy"] for one in found["policies"]] == names[:2]
    regrets = [one["overall"]["regret_veh"] for one in found["policies"]]
    assert regrets == [
        {"value": 0.0, "low": 0.0, "high": 0.0},
        {"value": 0.5, "low": 0.0, "high": 1.0},
    ]
    assert set(found["policies"][0]["by_difficulty"]) == {"0.00-0.33", "0.67-1.00"}
    assert found["runs"] == 2


def test_other_seeds_other_coins(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the same seed gives the same figures, to the bit."""
    args = ("--dataset", dataset, "--baseline", "random", "--seed")
    found = [as_json(capsys, *args, str(seed)) for seed in (*range(8), 0)]
    assert found[0] == found[-1]
    assert len({str(one["policies"]) for one in found}) > 1


def test_draws_a_picture(dataset: str, tmp_path: Path) -> None:
    """A PNG, in a folder that is made for it."""
    target = tmp_path / "pictures" / "evaluation.png"
    assert run("--dataset", dataset, "--plot", str(target)) == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_models_are_asked_as_they_are_told_to_be(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option arrives where it belongs."""
    plans: list[EvaluationPlan] = []

    def noted(plan: EvaluationPlan) -> NoReturn:
        plans.append(plan)
        raise ConfigError("seen enough")

    monkeypatch.setattr("greenfork.commands.evaluate._evaluated", noted)
    args = ("--samples", "3", "--temperature", "0.5", "--max-new-tokens", "9", "--batch-size", "7")
    assert run("--dataset", dataset, *args, "--prompt-form", "words", "--seed", "4") == 2
    assert [plan.generation for plan in plans] == [
        Generation(
            samples=3,
            temperature=0.5,
            max_new_tokens=9,
            batch_size=7,
            has_examples=False,
            seed=4,
            prompt_form="words",
        )
    ]


def test_points_that_fail_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why, a few of them; the exit status is 1, and the others are judged."""
    root = save_dataset(tmp_path / "net", [Moment(yes_veh=None)] * 9)
    service = Service(unknown=frozenset(f"net@{number}" for number in range(7)))
    monkeypatch.setattr(
        "greenfork.commands.evaluate._connecting", lambda url, api_key: service.connect
    )
    assert run("--dataset", str(root), "--url", "http://test") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "2 decision points of 1 run" in said
    assert "7 decision points could not be judged:" in said
    assert said.count("signal C: unknown_state") == 5


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], "usage"),
        (["--dataset", "/nowhere"], "not_a_dataset"),
        (["--dataset", "DIR", "--baseline", "best"], "usage"),
        (["--dataset", "DIR", "--split", "train"], "not_a_dataset"),
        (["--dataset", "DIR", "--model", "/nowhere"], "model_not_found"),
        (["--dataset", "DIR", "--horizon", "30"], "no_outcomes"),
        (["--dataset", "DIR", "--samples", "4"], "bad_config"),
        (["--dataset", "DIR", "--prompt-examples", "--prompt-form", "words"], "bad_config"),
        (["--dataset", "DIR", "--plot", "picture.jpg"], "bad_config"),
        (["--dataset", "DIR", "--plot", "/dev/null/picture.png"], "bad_config"),
        (
            ["--dataset", "DIR", "--reward", "wait", "--horizon", "9", "--url", "no url"],
            "bad_config",
        ),
    ],
)
def test_what_cannot_be_done_is_2(
    args: list[str], code: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a code for machines."""
    given = [dataset if arg == "DIR" else arg for arg in args]
    assert run(*given, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_comparison_has_a_table(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of everybody but the one that all are compared with."""
    args = ("--baseline", "always-no", "--baseline", "oracle", "--against", "always-no")
    assert run("--dataset", dataset, *args) == 0
    said = capsys.readouterr().out.partition("regret against always-no")[2]
    assert "oracle" in said
    assert "-0.031" in said
