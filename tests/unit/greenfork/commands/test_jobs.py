"""``greenfork jobs``: what is printed."""

from datetime import UTC, datetime, timedelta

import pytest

from greenfork.commands.jobs import _listed
from greenfork.screen import screen
from shared.rewards import RewardSpec
from shared.wire.jobs import JobStatus, JobView
from shared.wire.scoring import Counts

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def job(number: int, status: JobStatus, items: int, done: int, eta_s: float | None) -> JobView:
    """A job that was sent so many hours ago."""
    return JobView(
        id=f"{number:032x}",
        status=status,
        items=items,
        done=done,
        counts=Counts(scored=0, invalid=0, failed=done, cached=0, rollouts=0),
        reward=RewardSpec(),
        series=False,
        created_at=NOW - timedelta(hours=number),
        eta_s=eta_s,
    )


def test_list_is_a_line_a_job_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut, the ids least of all; the widest values fit."""
    monkeypatch.setenv("COLUMNS", "80")
    jobs = [
        job(1, "cancelled", 1_000_000, 999_999, None),
        job(30, "running", 123_456, 61_000, 7100.0),
        job(2, "queued", 1, 0, None),
    ]
    screen().print(_listed(jobs, NOW))
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["job", "status", "sent", "items", "done", "failed", "left"]
    assert [line.split() for line in lines] == [
        [f"{1:032x}", "cancelled", "11:00", "1000000", "99", "%", "999999", "-"],
        [f"{30:032x}", "running", "Nov", "27", "123456", "49", "%", "61000", "118", "min"],
        [f"{2:032x}", "queued", "10:00", "1", "0", "%", "0", "-"],
    ]
    assert max(map(len, [head, *lines])) <= 80
