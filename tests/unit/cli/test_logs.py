"""Where the program's log lines go."""

import io

import pytest
import structlog

from cli.logs import configure_logs


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
