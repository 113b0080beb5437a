"""A build that was interrupted goes on where it was, and ends with the same bytes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import DatasetError
from sim_workers.datasets.build_directory import build_directory_of
from sim_workers.datasets.build_plan import BuildOptions, Execution, Progress
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.policies import PolicySpec
from tests.integration.conftest import OWN
from tests.integration.sim_workers.process_tree import (
    descendants,
    fork_servers_of,
    is_alive,
    wait_for,
)

_GRID = OWN["grid2x2"]
_STATES = 6
_OPTIONS = BuildOptions(
    seeds=(7, 8),
    policy=PolicySpec(name="random"),
    states=_STATES,
    tls_ids=("A0",),
    end_s=650,
    with_outcomes=True,
)
_ARGUMENTS = (
    *("--seed", "7", "--seed", "8", "--policy", "random", "--end", "650", "--outcomes"),
    *("--states", str(_STATES), "--tls", "A0"),
)
_LIMIT_S = 120


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of the dataset, built in one go by one worker."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    build_dataset(_GRID, out, _OPTIONS, execution=Execution(workers=1))
    return _files(out)


def _start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "greenfork", "dataset", "build", str(_GRID), "--out", str(out)),
            *(*_ARGUMENTS, *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kept(out: Path) -> int:
    """States in the journals of an unfinished build."""
    journals = (build_directory_of(out) / "journals").glob("*.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in journals)


def _interrupt(out: Path, how: signal.Signals, states: int, *arguments: str) -> str:
    """Ends a build when it has so many states; returns what it said."""
    with _start(out, *arguments) as build:
        wait_for(lambda: _kept(out) >= states or build.poll() is not None, "states", _LIMIT_S)
        processes = descendants(build.pid)
        build.send_signal(how)
        _, said = build.communicate(timeout=_LIMIT_S)
    assert build.returncode != 0
    wait_for(lambda: not any(map(is_alive, processes)), "the processes to end")
    assert not out.exists()
    return said


def _finish(out: Path, *arguments: str) -> str:
    """Gives the command again; returns what it said."""
    with _start(out, *arguments) as build:
        _, said = build.communicate(timeout=_LIMIT_S)
    assert build.returncode == 0, said
    return said


def test_killed_build_goes_on_to_the_same_bytes(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Twice killed with SIGKILL in the middle, with one run at a time; others here have two."""
    out = tmp_path / "out"
    for states in (1, 3):
        _interrupt(out, signal.SIGKILL, states, "--workers", "1")
    left = _kept(out)
    assert 3 <= left < _STATES
    said = _finish(out, "--workers", "1")
    assert f"Resuming: {left} of {_STATES} states are done" in said
    assert _files(out) == undisturbed
    assert list(tmp_path.iterdir()) == [out]


def test_interrupted_build_says_that_it_can_go_on(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Ctrl-C ends it tidily: no process, no traceback."""
    out = tmp_path / "out"
    said = _interrupt(out, signal.SIGINT, 2)
    assert "states are kept; run the same command again to resume" in said
    assert "Traceback" not in said
    _finish(out)
    assert _files(out) == undisturbed


def test_half_a_line_and_a_lost_file_do_no_harm(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """As after a power cut: a journal ends anywhere, a state file is empty."""
    out = tmp_path / "out"
    _interrupt(out, signal.SIGKILL, 3, "--workers", "2")
    journals = sorted((build_directory_of(out) / "journals").glob("*.jsonl"))
    with journals[0].open("ab") as journal:
        journal.write(b'{"slot":3,"rec')
    next((build_directory_of(out) / "dataset" / "states").glob("*.xml")).write_bytes(b"")
    _finish(out)
    assert _files(out) == undisturbed


class _Stop(Exception):
    """Ends a build from its own progress."""


def _stop_after(states: int, out: Path, options: BuildOptions = _OPTIONS) -> None:
    def stop(progress: Progress) -> None:
        if progress.states >= states:
            raise _Stop

    with pytest.raises(_Stop):
        build_dataset(_GRID, out, options, stop)
    assert fork_servers_of(os.getpid()) == []


def test_build_that_stops_leaves_no_process_and_what_it_has(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Whatever stopped it; going on reports what is there before anything else."""
    out = tmp_path / "out"
    _stop_after(3, out)
    seen: list[Progress] = []
    build_dataset(_GRID, out, _OPTIONS, seen.append)
    assert seen[0].states == seen[0].resumed >= 3
    assert seen[-1].slots_done == seen[-1].slots == _STATES
    assert _files(out) == undisturbed


def test_build_that_stops_at_once_leaves_nothing(tmp_path: Path) -> None:
    """There is nothing to go on with."""
    _stop_after(0, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_another_build_is_refused_until_restarted(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """What was left of one is not mixed into another."""
    out = tmp_path / "out"
    _stop_after(1, out, replace(_OPTIONS, horizon_s=30))
    with pytest.raises(DatasetError, match="differs in horizon_s;") as caught:
        build_dataset(_GRID, out, _OPTIONS)
    assert caught.value.code == "other_build"
    build_dataset(_GRID, out, _OPTIONS, execution=Execution(restart=True))
    assert _files(out) == undisturbed
