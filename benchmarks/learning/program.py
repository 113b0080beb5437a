"""The proof from end to end: the order of things."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateways import GatewayServer
from benchmarks.learning.commands import CORES, Command, Program, check_unchanged
from benchmarks.learning.judging import judged_points, judgement
from benchmarks.learning.plan import Family, Plan
from benchmarks.learning.trainings import WARM_START, Trainings
from trainer.evaluation.report import Evaluation

__all__ = ["Proof"]


@dataclass(frozen=True)
class Proof(Program[Plan]):
    """One run of the proof that a model learns to drive."""

    @property
    def trainings(self) -> Trainings:
        """What is trained, and where."""
        return Trainings(self.plan, self.out)

    def prepare(self, *others: Family) -> None:
        """Builds the decision points, and the model that all trainings start from.

        Args:
            others: Families that nothing is trained on.

        Raises:
            CommandChanged: The folder holds a model that was trained otherwise; nothing is run.
            CommandFailed: A command failed.
        """
        trainings = [self.trainings.warm_start(), *self.trainings.compared(url="none-yet")]
        check_unchanged(trainings, self.stages)
        self.run(self._builds(self.plan.train, CORES), at_once=1)
        builds = [command for family in others for command in self._builds(family, 1)]
        self.run([self.trainings.warm_start(), *builds])

    def train(self) -> None:
        """Trains, by GRPO through a service's URL, and otherwise for comparison."""
        if all(map(self.stages.is_done, self.trainings.names)):
            self.say("all trainings: done before")
            return
        with self.serving() as url:
            self.run(self.trainings.compared(url))

    @contextmanager
    def serving(self) -> Iterator[str]:
        """A reward service of the training states while a block runs; gives its URL."""
        with GatewayServer(self.out / "train", self.out / "service", CORES) as server:
            self.say(f"rewards come from {server.url}")
            yield server.url

    def judged(self, family: Family) -> Evaluation:
        """How everybody does on the decision points of a family.

        Args:
            family: One that was built.
        """
        models = [(name, self.trainings.model(name)) for name in self.trainings.names]
        found = self.stages.run(
            f"judged-{family.name}",
            lambda: self._judge(family, models).model_dump(mode="json"),
        )
        return Evaluation.model_validate(found)

    def _judge(self, family: Family, models: list[tuple[str, Path]]) -> Evaluation:
        trained_on = judged_points(self.out / self.plan.train.name)
        folder = self.out / family.name
        return judgement(folder, trained_on, models, WARM_START, self.say)

    def _builds(self, family: Family, workers: int) -> list[Command]:
        root = self.out / family.name
        return [
            Command(f"{family.name}-{network.name}", family.build(network, root, workers))
            for network in family.networks
        ]
