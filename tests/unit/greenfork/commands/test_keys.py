"""``greenfork keys``: a key is shown once, and nothing that opens afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from reward_server.auth.keys import digest_of, key_id_of


def run(tmp_path: Path, *args: str) -> int:
    """The exit status of ``greenfork keys``."""
    with pytest.raises(SystemExit) as ended:
        app(["keys", *args, "--data-dir", str(tmp_path)])
    return int(ended.value.code or 0)


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401
    """Runs it with ``--json`` and gives what it printed."""

    def ran(*args: str) -> Any:  # noqa: ANN401
        status = run(tmp_path, *args, "--json")
        printed = json.loads(capsys.readouterr().out)
        assert status == (2 if "error" in printed else 0)
        return printed

    return ran


def test_key_is_shown_once(keys: Any) -> None:  # noqa: ANN401
    """The list has its id, and neither the key nor its digest."""
    made = keys("create", "ann", "--scope", "upload", "--scope", "score", "--weight", "2")
    assert (made["name"], made["scopes"], made["weight"]) == ("ann", ["score", "upload"], 2.0)
    (listed,) = keys("list")
    assert listed["key_id"] == key_id_of(made["key"])
    assert listed["revoked_at"] is None
    assert made["key"] not in str(listed)
    assert digest_of(made["key"]) not in str(listed)


def test_key_may_score_where_nothing_else_is_said(keys: Any) -> None:  # noqa: ANN401
    """The least that is of use."""
    assert keys("create", "ann")["scopes"] == ["score"]


def test_key_alone_is_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that ``KEY=$(greenfork keys create ann)`` works."""
    assert run(tmp_path, "create", "ann") == 0
    said = capsys.readouterr()
    assert key_id_of(said.out.removesuffix("\n"))
    assert "cannot be shown again" in said.err


def test_key_is_revoked(keys: Any) -> None:  # noqa: ANN401
    """Once; the list says when."""
    keys("create", "ann")
    assert keys("revoke", "ann") == {"name": "ann", "revoked": True}
    assert keys("revoke", "ann") == {"name": "ann", "revoked": False}
    (listed,) = keys("list")
    assert listed["revoked_at"].endswith("+00:00")


def test_refusals_are_usage(keys: Any) -> None:  # noqa: ANN401
    """A name that is taken, a scope that is none, a key that is unknown."""
    keys("create", "ann")
    assert keys("create", "ann")["error"]["code"] == "name_taken"
    assert keys("create", "bob", "--scope", "fly")["error"]["code"] == "bad_config"
    assert keys("revoke", "zoe")["error"]["code"] == "unknown_key"


def test_table_shows_nothing_that_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People get a table."""
    run(tmp_path, "create", "ann")
    key = capsys.readouterr().out.strip()
    assert run(tmp_path, "list") == 0
    table = capsys.readouterr().out
    assert "ann" in table
    assert key not in table
    assert key[-20:] not in table
