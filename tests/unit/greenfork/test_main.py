"""The command as a whole: help, errors, and what it must not import."""

import json
import subprocess
import sys

import pytest

from greenfork.main import app
from greenfork.output import exit_status
from shared.errors import (
    DatasetError,
    GreenforkError,
    InvalidRequest,
    NotReady,
    ServiceUnreachable,
    TrainingStopped,
)


def status_of(*args: str) -> int:
    """The exit status of a command line."""
    with pytest.raises(SystemExit) as ended:
        app(args)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with a line of explanation."""
    assert status_of("--help") == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in ("scenarios", "dataset", "serve", "score", "evaluate"))


@pytest.mark.parametrize("verb", ["serve", "score", "outcomes", "evaluate", "dataset", "scenarios"])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And asking for it is no error."""
    assert status_of(verb, "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    """So that it is instant."""
    heavy = ["pydantic", "httpx", "fastapi", "sqlalchemy", "ray", "torch", "libsumo", "uvicorn"]
    code = f"import sys, greenfork.main; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("args", [["--version"], ["score", "--help"]])
def test_asking_is_no_error(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, and something is said."""
    assert status_of(*args) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("args", [["fly"], ["score"], ["serve", "--port", "x"]])
def test_wrong_usage_is_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for machines."""
    assert status_of(*args) == 2
    assert capsys.readouterr().err
    assert status_of(*args, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_serve_takes_datasets_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the command line names none."""
    monkeypatch.setenv("GREENFORK_SERVER_DATASETS", '["nowhere"]')
    assert status_of("serve", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_a_dataset"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], "bad_config"),
        (["--dataset", "nowhere"], "not_a_dataset"),
        (["--host", "0.0.0.0", "--dataset", "nowhere"], "bad_config"),
        (["--port", "70000", "--dataset", "nowhere"], "bad_config"),
    ],
)
def test_serve_refuses_what_it_cannot_serve(
    args: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything slow is started."""
    assert status_of("serve", *args, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DatasetError("x"), 2),
        (InvalidRequest("x"), 2),
        (ServiceUnreachable("x"), 2),
        (TrainingStopped("x"), 1),
        (TrainingStopped("x", "interrupted"), 130),
        (NotReady("x"), 1),
    ],
)
def test_exit_status_says_whose_fault_it_is(error: GreenforkError, status: int) -> None:
    """2 for what was given, 1 for what went wrong."""
    assert exit_status(error) == status
