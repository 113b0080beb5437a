"""The trainings that are compared, as commands, and where each leaves its model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.learning.commands import Command
from benchmarks.learning_planning.plan import PlanningPlan

__all__ = ["KINDS", "Kind", "PlanTrainings"]

Kind = Literal["start", "curriculum", "plain"]
KINDS: tuple[Kind, ...] = ("start", "curriculum", "plain")
"""Supervised; and from there by GRPO, from easy to hard or in random order."""


@dataclass(frozen=True)
class PlanTrainings:
    """The trainings of a plan, under a folder."""

    plan: PlanningPlan
    out: Path

    @property
    def problems(self) -> Path:
        """The folder of the problems."""
        return self.out / "problems"

    def model(self, kind: Kind, seed: int) -> Path:
        """The folder of a training's model."""
        return self.out / f"{kind}-{seed}" / "model"

    def build(self) -> Command:
        """Makes the problems."""
        domains = [word for name in self.plan.domains for word in ("--domain", name)]
        return Command(
            "problems",
            (
                *("dataset", "planning", *domains, "--problems", str(self.plan.problems)),
                *("--seed", str(self.plan.problem_seed), "--names", "shuffled"),
                *("--planner", "construction", "--out", str(self.problems)),
            ),
            output=self.problems,
        )

    def starts(self) -> list[Command]:
        """Make the small model and teach it by reference plans, a run for each seed."""
        return [
            self._training("sft", "start", seed, "planning-start", self.plan.start)
            for seed in self.plan.seeds
        ]

    def compared(self, url: str) -> list[Command]:
        """The runs of GRPO: for each seed one with a curriculum and one without, as long.

        Args:
            url: Of a reward service that serves the problems.
        """
        return [
            self._training(
                "grpo",
                kind,
                seed,
                "planning",
                (*self.plan.grpo, f"curriculum={'true' if kind == 'curriculum' else 'false'}"),
                ("--model-path", str(self.model("start", seed)), "--reward-url", url),
            )
            for seed in self.plan.seeds
            for kind in KINDS[1:]
        ]

    def _training(
        self,
        verb: str,
        kind: Kind,
        seed: int,
        preset: str,
        settings: tuple[str, ...],
        more: tuple[str, ...] = (),
    ) -> Command:
        """Begun anew where it was interrupted: what it takes is minutes."""
        name = f"{kind}-{seed}"
        arguments = (
            *("train", verb, "--config", preset, "--dataset-path", str(self.problems), *more),
            *("--output-dir", str(self.out / name), "--seed", str(seed)),
            *(word for setting in settings for word in ("--set", setting)),
        )
        return Command(name, arguments, output=self.out / name)
