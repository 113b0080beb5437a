"""The folder of a build: one builder, one plan, and nothing left behind without need."""

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from shared.errors import DatasetError
from sim_workers.datasets.build_directory import BuildDirectory, BuildPlan, build_directory_of

_PLAN = BuildPlan(
    scenario_id="town-0", greenfork="1", sumo="1", engine=1, options={"states": 3, "kind": "extend"}
)


def _interrupt(out: Path) -> None:
    """A build that ends after its first state."""
    with suppress(KeyboardInterrupt), BuildDirectory(out, _PLAN, restart=False) as place:
        (place.layout.states / "town@1-0.xml").write_text("state")
        (build_directory_of(out) / "journals" / "seed1.jsonl").write_text("{}\n")
        raise KeyboardInterrupt


def _states(place: BuildDirectory) -> list[str]:
    return [path.name for path in place.layout.states.iterdir()]


def test_finished_dataset_is_moved_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Even a folder that was made for it beforehand is no obstacle."""
    out = tmp_path / "out"
    out.mkdir()
    with BuildDirectory(out, _PLAN, restart=False) as place:
        place.layout.manifest.write_text("{}")
        assert list(out.iterdir()) == []
        place.finish()
    assert (out / "manifest.json").is_file()
    assert list(tmp_path.iterdir()) == [out]


def test_build_without_a_state_leaves_nothing(tmp_path: Path) -> None:
    """Whether it ended or was interrupted."""
    with BuildDirectory(tmp_path / "out", _PLAN, restart=False):
        pass
    with pytest.raises(KeyboardInterrupt), BuildDirectory(tmp_path / "out", _PLAN, restart=False):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_same_build_finds_what_was_left(tmp_path: Path) -> None:
    """Under the same name beside the dataset."""
    out = tmp_path / "out"
    _interrupt(out)
    assert [path.name for path in tmp_path.iterdir()] == [".out.building"]
    with BuildDirectory(out, _PLAN, restart=False) as place:
        assert _states(place) == ["town@1-0.xml"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sumo": "2"}, "differs in sumo;"),
        ({"options": {"states": 4, "kind": "extend"}}, "differs in states;"),
        ({"scenario_id": "town-1", "engine": 2}, "differs in scenario_id, engine;"),
    ],
)
def test_another_build_is_not_mixed_in(
    changes: dict[str, object], named: str, tmp_path: Path
) -> None:
    """The message names what differs and both ways out; nothing is lost."""
    out = tmp_path / "out"
    _interrupt(out)
    other = _PLAN.model_copy(update=changes)
    with pytest.raises(DatasetError, match=named) as caught:
        BuildDirectory(out, other, restart=False).__enter__()
    assert caught.value.code == "other_build"
    assert "--restart" in caught.value.message
    with BuildDirectory(out, _PLAN, restart=False) as place:
        assert _states(place)


def test_restart_throws_away_what_was_left(tmp_path: Path) -> None:
    """Of the same build or of another."""
    out = tmp_path / "out"
    _interrupt(out)
    with BuildDirectory(out, _PLAN.model_copy(update={"sumo": "2"}), restart=True) as place:
        assert _states(place) == []


def test_unreadable_plan_is_another_build(tmp_path: Path) -> None:
    """It is not guessed what was meant."""
    out = tmp_path / "out"
    _interrupt(out)
    (build_directory_of(out) / "plan.json").write_text("{")
    with pytest.raises(DatasetError) as caught:
        BuildDirectory(out, _PLAN, restart=False).__enter__()
    assert caught.value.code == "other_build"


def test_two_builders_do_not_meet(tmp_path: Path) -> None:
    """The second is told; the first is not disturbed; when it has ended, the next may begin."""
    out = tmp_path / "out"
    with BuildDirectory(out, _PLAN, restart=False) as place:
        with pytest.raises(DatasetError) as caught:
            BuildDirectory(out, _PLAN, restart=True).__enter__()
        assert caught.value.code == "build_running"
        assert place.layout.states.is_dir()
    with BuildDirectory(out, _PLAN, restart=False):
        pass


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in the path is no folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=str(tmp_path / "file")) as caught:
        BuildDirectory(tmp_path / "file" / "out", _PLAN, restart=False).__enter__()
    assert caught.value.code == "not_writable"


def test_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """What was written before is there when there is room again."""
    out = tmp_path / "out"
    _interrupt(out)
    with pytest.raises(DatasetError, match="No space left on device; free some space") as caught:
        _write_to_a_full_disk(out)
    assert caught.value.code == "not_writable"
    with BuildDirectory(out, _PLAN, restart=False) as place:
        assert _states(place) == ["town@1-0.xml"]


def _write_to_a_full_disk(out: Path) -> None:
    with BuildDirectory(out, _PLAN, restart=False):
        raise OSError(errno.ENOSPC, "No space left on device")
