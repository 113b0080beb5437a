"""The same training with other settings, judged on the validation points: how defaults were chosen.

Held-out points are not looked at.
"""

from dataclasses import dataclass

from benchmarks.learning.judging import judgement
from benchmarks.learning.plan import VALIDATION
from benchmarks.learning.program import Proof
from benchmarks.learning.tables import policies_table
from benchmarks.learning.trainings import WARM_START, grpo_name
from trainer.evaluation.report import Evaluation

__all__ = ["ABLATIONS", "Ablations"]

ABLATIONS: dict[str, tuple[str, ...]] = {
    "queue-gain": ("reward_name=queue_gain",),
    "group-scaling": ("scale_rewards=group",),
    "kl-0": ("kl_coeff=0",),
    "kl-0.1": ("kl_coeff=0.1",),
    "entropy-0.01": ("kl_coeff=0", "entropy_coeff=0.01"),
}
"""Settings over those of the preset, by name."""


@dataclass(frozen=True)
class Ablations:
    """The trainings with other settings, beside those of the proof with the same seeds.

    Args:
        proof: Whose training points, warm start and GRPO runs they take.
        seeds: With each of which every one of them is run, where the plan has it.
    """

    proof: Proof
    seeds: tuple[int, ...] = (1, 2)

    def table(self) -> str:
        """Trains what was not trained yet, judges, and gives the table."""
        proof = self.proof
        seeds = [seed for seed in self.seeds if seed in proof.plan.seeds]
        proof.prepare(VALIDATION)
        with proof.serving() as url:
            trainings = [
                proof.trainings.grpo(name, seed, url, settings)
                for seed in seeds
                for name, settings in _named(seed).items()
            ]
            proof.run(trainings)
        names = [WARM_START, *(training.name for training in trainings)]
        found = proof.stages.run(
            "judged-ablations", lambda: self._judge(names).model_dump(mode="json")
        )
        return policies_table(Evaluation.model_validate(found))

    def _judge(self, names: list[str]) -> Evaluation:
        models = [(name, self.proof.trainings.model(name)) for name in names]
        family = self.proof.out / VALIDATION.name
        return judgement(family, (), models, WARM_START, self.proof.say)


def _named(seed: int) -> dict[str, tuple[str, ...]]:
    """The runs with a seed, the one of the proof first, and what each sets."""
    others = {f"{what}-{seed}": settings for what, settings in ABLATIONS.items()}
    return {grpo_name(seed): (), **others}
