"""What a long program does again, and what not."""

from pathlib import Path

import pytest

from benchmarks.learning.stages import Stages


def stages(folder: Path, *, seconds: tuple[float, ...] = (0.0, 2.0)) -> Stages:
    """Stages by a clock that shows these times."""
    times = iter(seconds)
    return Stages(folder, say=lambda _: None, clock=lambda: next(times))


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    """Its result is kept, and its time."""
    assert stages(tmp_path).run("build", lambda: {"rows": 3}) == {"rows": 3}
    again = stages(tmp_path)
    assert again.run("build", lambda: pytest.fail("run again")) == {"rows": 3}
    assert again.is_done("build")
    assert again.seconds() == {"build": 2.0}


def test_a_stage_that_failed_is_run_again(tmp_path: Path) -> None:
    """A failure leaves nothing that looks like a result."""

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stages(tmp_path).run("train", fail)
    assert not stages(tmp_path).is_done("train")
    assert stages(tmp_path).run("train", lambda: 1) == 1


def test_only_commands_count_as_commands(tmp_path: Path) -> None:
    """What a stage gives as text is the command that it was."""
    stages(tmp_path).run("build", lambda: "greenfork dataset build")
    stages(tmp_path).run("judge", lambda: {"regret": 0.1})
    assert stages(tmp_path).commands() == {"build": "greenfork dataset build"}
