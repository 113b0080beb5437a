"""``greenfork episodes``: what is printed."""

from datetime import UTC, datetime, timedelta

import pytest

from greenfork.commands.episodes import _listed
from greenfork.screen import screen
from shared.wire.episode_control import PRESETS
from shared.wire.episode_views import EpisodeStatus, EpisodeView
from shared.wire.episodes import EpisodeReward

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def episode(number: int, status: EpisodeStatus, step: int, time_s: float) -> EpisodeView:
    """An episode of an hour that was begun so many hours ago."""
    begun = NOW - timedelta(hours=number)
    return EpisodeView(
        episode_id=f"{number:032x}",
        status=status,
        is_live=False,
        scenario_id="crossing-16ef07db51e1",
        seed=2_147_483_647,
        scale=1.0,
        begin_s=25_200,
        end_s=28_800,
        time_s=time_s,
        step=step,
        signals=("c",),
        control=PRESETS["resco"],
        reward=EpisodeReward(),
        observe=(),
        created_at=begun,
        updated_at=begun,
    )


def test_list_is_a_line_an_episode_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut, the ids least of all; an episode is done in full only at its end."""
    monkeypatch.setenv("COLUMNS", "80")
    episodes = [episode(1, "running", 17_280, 28_799), episode(30, "finished", 360, 28_800)]
    screen().print(_listed(episodes, NOW))
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["episode", "status", "begun", "steps", "done", "seed"]
    assert [line.split() for line in lines] == [
        [f"{1:032x}", "running", "11:00", "17280", "99", "%", "2147483647"],
        [f"{30:032x}", "finished", "Nov", "27", "360", "100", "%", "2147483647"],
    ]
    assert max(map(len, [head, *lines])) <= 80
