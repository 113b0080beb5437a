"""The proof from end to end: the order of things."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks.gateways import GatewayServer
from benchmarks.learning.commands import CORES, Program, check_unchanged
from benchmarks.learning_planning.plan import PlanningPlan
from benchmarks.learning_planning.trainings import KINDS, PlanTrainings
from greenfork.commands.evaluate_plans import evaluated_plans
from reward_client import RewardClient
from trainer.evaluation import Bootstrap, Generation
from trainer.evaluation.planning import PlanEvaluation

__all__ = ["Judged", "PlanningProof"]

_PROMPTS_AT_ONCE = 64
_HOW = ("sampled", "greedy")


@dataclass(frozen=True)
class Judged:
    """The models of one seed on the held-out problems, each compared with its start."""

    sampled: PlanEvaluation
    """By plans that were sampled at temperature 1, as in training: what GRPO raises."""
    greedy: PlanEvaluation
    """By the likeliest plan."""


@dataclass(frozen=True)
class PlanningProof(Program[PlanningPlan]):
    """One run of the proof that a model learns to plan."""

    @property
    def trainings(self) -> PlanTrainings:
        """What is trained, and where."""
        return PlanTrainings(self.plan, self.out)

    def prepare(self) -> None:
        """Builds the problems, and the models that GRPO starts from.

        Raises:
            CommandChanged: The folder holds something that was made otherwise; nothing is run.
            CommandFailed: A command failed.
        """
        trainings = self.trainings
        everything = [trainings.build(), *trainings.starts(), *trainings.compared(url="none-yet")]
        check_unchanged(everything, self.stages)
        self.run([trainings.build()])
        self.run(trainings.starts())

    def train_and_judge(self) -> tuple[PlanEvaluation, dict[int, Judged]]:
        """Trains by GRPO through a service's URL, and judges everybody there.

        Returns:
            The baselines, and the models of each seed.
        """
        names = [command.name for command in self.trainings.compared(url="none-yet")]
        judgements = ["judged-baselines"]
        judgements += [f"judged-{how}-{seed}" for how in _HOW for seed in self.plan.seeds]
        if all(map(self.stages.is_done, [*names, *judgements])):
            return self._judgements("none-needed")
        with self._serving() as url:
            self.run(self.trainings.compared(url))
            return self._judgements(url)

    def _judgements(self, url: str) -> tuple[PlanEvaluation, dict[int, Judged]]:
        greedy = Generation(max_new_tokens=self.plan.answer_tokens, batch_size=_PROMPTS_AT_ONCE)
        sampled = replace(greedy, samples=self.plan.samples, temperature=1.0)
        baselines = self._judged("baselines", [], ("oracle", "random"), greedy, url)
        found = {}
        for seed in self.plan.seeds:
            models = [str(self.trainings.model(kind, seed)) for kind in KINDS]
            found[seed] = Judged(
                *(
                    self._judged(f"{name}-{seed}", models, (), how, url)
                    for name, how in zip(_HOW, (sampled, greedy), strict=True)
                )
            )
        return baselines, found

    def _judged(
        self,
        name: str,
        models: list[str],
        baselines: tuple[str, ...],
        generation: Generation,
        url: str,
    ) -> PlanEvaluation:
        """Policies on the held-out problems; models beside the first of them."""

        def judge() -> object:
            return evaluated_plans(
                self.trainings.problems,
                "eval",
                models,
                baselines,
                lambda: RewardClient(url),
                generation,
                Bootstrap(),
                None,
                models[0] if models else None,
            ).model_dump(mode="json")

        return PlanEvaluation.model_validate(self.stages.run(f"judged-{name}", judge))

    @contextmanager
    def _serving(self) -> Iterator[str]:
        """A reward service of the problems while a block runs; gives its URL."""
        with GatewayServer(self.trainings.problems, self.out / "service", CORES) as server:
            self.say(f"rewards come from {server.url}")
            yield server.url
