"""The same training with other settings, judged on the validation points: how defaults were chosen.

Held-out points are not looked at.
"""

from dataclasses import dataclass

from benchmarks.learning.judging import judgement
from benchmarks.learning.plan import VALIDATION
from benchmarks.learning.program import Proof
from benchmarks.learning.tables import policies_table
from benchmarks.learning.trainings import WARM_START
from trainer.evaluation.report import Evaluation

__all__ = ["ABLATIONS", "Ablations"]

ABLATIONS: dict[str, tuple[str, ...]] = {
    "preset": (),
    "kl-0": ("kl_coeff=0",),
    "kl-0.1": ("kl_coeff=0.1",),
    "entropy-0.01": ("kl_coeff=0", "entropy_coeff=0.01"),
    "queue-gain": ("reward_name=queue_gain",),
    "invalid-at-100": ("invalid_as_worst=false", "invalid_reward=-100"),
    "group-scaling": ("scale_rewards=group",),
    "no-scaling": ("scale_rewards=none",),
}
"""Settings over those of the preset, by name."""


@dataclass(frozen=True)
class Ablations:
    """The trainings with other settings.

    Args:
        proof: Whose training points and warm start they take.
        seeds: With each of which every one of them is run.
    """

    proof: Proof
    seeds: tuple[int, ...] = (1, 2)

    @property
    def names(self) -> list[str]:
        """Of all trainings."""
        return [_name(what, seed) for what in ABLATIONS for seed in self.seeds]

    def table(self) -> str:
        """Trains what was not trained yet, judges, and gives the table."""
        proof = self.proof
        proof.prepare(VALIDATION)
        with proof.serving() as url:
            proof.run(
                [
                    proof.trainings.grpo(_name(what, seed), seed, url, settings)
                    for what, settings in ABLATIONS.items()
                    for seed in self.seeds
                ]
            )
        found = proof.stages.run("judged-ablations", lambda: self._judge().model_dump(mode="json"))
        return policies_table(Evaluation.model_validate(found))

    def _judge(self) -> Evaluation:
        trainings = self.proof.trainings
        models = [(name, trainings.model(name)) for name in (WARM_START, *self.names)]
        family = self.proof.out / VALIDATION.name
        return judgement(family, (), models, WARM_START, self.proof.say)


def _name(what: str, seed: int) -> str:
    return f"{what}-{seed}"
