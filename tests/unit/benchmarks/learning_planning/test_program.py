"""What is done again, and what is not, when the proof is started twice. Nothing is really run."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.learning import commands
from benchmarks.learning.commands import Command, CommandChanged
from benchmarks.learning.stages import Stages
from benchmarks.learning_planning import program
from benchmarks.learning_planning.plan import QUICK, PlanningPlan
from benchmarks.learning_planning.program import PlanningProof
from trainer.evaluation.planning import PlanEvaluation


class _World:
    """In the places of processes: remembers what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.served = 0
        monkeypatch.setattr(commands, "run_all", self._run)
        monkeypatch.setattr(program, "evaluated_plans", self._evaluated)
        monkeypatch.setattr(program, "GatewayServer", self._serve)

    def _run(self, commands: Sequence[Command], stages: Stages, logs: Path, cores: int) -> None:
        for command in commands:
            if not stages.is_done(command.name):
                self.done.append(command.name)
                stages.run(command.name, partial(getattr, command, "text"))

    def _evaluated(self, dataset: Path, split: str, models: list[str], *_: Any) -> PlanEvaluation:  # noqa: ANN401
        self.done.append(f"judge {len(models)} on {split}")
        return PlanEvaluation(dataset=str(dataset), split=split, problems=1, policies=())

    def _serve(self, *_: object) -> Any:  # noqa: ANN401
        self.served += 1
        return nullcontext(SimpleNamespace(url="http://127.0.0.1:1"))


def _go(plan: PlanningPlan, out: Path) -> None:
    proof = PlanningProof(plan, out, lambda _: None)
    proof.prepare()
    proof.train_and_judge()


def test_what_was_finished_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stage once and in order; a second start does not even start a service."""
    world = _World(monkeypatch)
    _go(QUICK, tmp_path)
    everything = [
        *("problems", "start-1", "curriculum-1", "plain-1"),
        *("judge 0 on eval", "judge 3 on eval", "judge 3 on eval"),
    ]
    assert world.done == everything
    _go(QUICK, tmp_path)
    assert (world.done, world.served) == (everything, 1)
    (tmp_path / "stages" / "plain-1.json").unlink()
    (tmp_path / "stages" / "judged-greedy-1.json").unlink()
    _go(QUICK, tmp_path)
    assert world.done[len(everything) :] == ["plain-1", "judge 3 on eval"]


def test_a_folder_of_another_plan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is run."""
    world = _World(monkeypatch)
    _go(QUICK, tmp_path)
    before = list(world.done)
    with pytest.raises(CommandChanged, match="Give another folder with --out"):
        _go(PlanningPlan(("spanner",), problems=15, seeds=(1,)), tmp_path)
    assert world.done == before
