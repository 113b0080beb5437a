"""What is run again, what is begun anew, and what is refused. No command is really run."""

import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.learning import __main__ as program
from benchmarks.learning.commands import Command, CommandChanged, CommandFailed, run_all
from benchmarks.learning.plan import FULL, QUICK
from benchmarks.learning.program import Proof
from benchmarks.learning.stages import Stages
from benchmarks.learning.trainings import Trainings


class Training:
    """In the place of a process: refuses a folder with checkpoints, and is interrupted at first."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.runs = 0

    def __call__(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        """One run."""
        self.runs += 1
        if self.output.exists():
            return subprocess.CompletedProcess(command, 2)
        (self.output / "checkpoint-9").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 1 if self.runs == 1 else 0)


def quiet(folder: Path) -> Stages:
    """Stages that say nothing."""
    return Stages(folder / "stages", say=lambda _: None)


def test_an_interrupted_training_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in what it left, which belongs to another run."""
    (command,) = [one for one in Trainings(QUICK, tmp_path).compared("u") if one.name == "offline"]
    training = Training(tmp_path / "offline")
    monkeypatch.setattr(subprocess, "run", training)
    with pytest.raises(CommandFailed):
        run_all([command], quiet(tmp_path), tmp_path / "logs")
    run_all([command], quiet(tmp_path), tmp_path / "logs")
    assert training.runs == 2
    assert quiet(tmp_path).commands() == {"offline": command.text}


def test_a_folder_that_was_not_begun_here_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is somebody's: the command says what it thinks of it."""
    own = tmp_path / "offline" / "model"
    own.mkdir(parents=True)
    monkeypatch.setattr(subprocess, "run", Training(tmp_path / "offline"))
    for _ in range(2):
        with pytest.raises(CommandFailed):
            run_all([Command("offline", (), own.parent)], quiet(tmp_path), tmp_path / "logs")
    assert own.exists()


def test_a_stage_of_another_command_is_refused(tmp_path: Path) -> None:
    """Before anything is run; another port of the service makes no other command."""
    stages = quiet(tmp_path)
    before = Trainings(FULL, tmp_path).grpo("grpo-1", 1, "http://127.0.0.1:1")
    stages.run("grpo-1", lambda: before.text)
    run_all([Trainings(FULL, tmp_path).grpo("grpo-1", 1, "http://127.0.0.1:2")], stages, tmp_path)
    quick = Trainings(QUICK, tmp_path).grpo("grpo-1", 1, "http://127.0.0.1:1")
    with pytest.raises(CommandChanged, match=r"(?s)grpo-1 was done before by.*max_steps=2"):
        run_all([Command("never-run", ()), quick], stages, tmp_path)


@pytest.mark.parametrize("name", ["warm-start", "sft-best", "grpo-1"])
def test_the_folder_of_another_plan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before any of its datasets is built beside those of the other one."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    quick, full = (Proof(plan, tmp_path, lambda _: None) for plan in (QUICK, FULL))
    trainings = [quick.trainings.warm_start(), *quick.trainings.compared("http://127.0.0.1:1")]
    (before,) = [one for one in trainings if one.name == name]
    quick.stages.run(name, partial(str, before.text))
    with pytest.raises(CommandChanged, match=name):
        full.prepare(FULL.judged, FULL.unseen)


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [([], "runs/learn"), (["--quick"], "runs/learn-quick"), (["--quick", "--out", "x"], "x")],
)
def test_the_quick_run_has_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    folder: str,
) -> None:
    """It does not start from the warm start of the full one, nor that one from its own."""

    def refuse(proof: Proof, *_: object) -> None:
        raise CommandFailed(f"in {proof.out.as_posix()}.")

    monkeypatch.setattr(Proof, "prepare", refuse)
    assert program.main(arguments) == 1
    assert capsys.readouterr().err == f"in {folder}.\n"
