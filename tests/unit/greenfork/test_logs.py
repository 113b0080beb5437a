"""Where the program's log lines go."""

import io
import json
import re
import sys

import pytest
import structlog

from greenfork.logs import configure_logs


def test_follows_a_replaced_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes to the stderr of its moment, even if that of the start was closed meanwhile."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    configure_logs("INFO")
    log = structlog.get_logger("test")
    log.info("one")
    first.close()
    monkeypatch.setattr("sys.stderr", second)

    log.info("two")

    assert '"event":"two"' in second.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_others_wrote_does_not_move_the_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither at once nor when a file of JSON lines is shown; the JSON holds it unchanged."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logs("INFO")
    evil = "net\x1b[2J\x9b31m\u202e\x7f"
    structlog.get_logger().info("served", scenario=evil)
    said = capsys.readouterr().err
    assert not {"\x9b", "\u202e", "\x7f", "\x1b[2J"} & set(re.findall(r"\x1b\[2J|.", said))
    if not is_terminal:
        assert json.loads(said)["scenario"] == evil
