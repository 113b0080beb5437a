"""What has to be reached for the proof to hold, and whether it was."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.learning.claims import Claim
from benchmarks.learning_planning.program import Judged
from benchmarks.learning_planning.trainings import KINDS
from planning.building import MIN_EVAL_STEPS
from planning.domains.constructions import least_steps
from planning.records import read_problems
from trainer.evaluation.planning import PlanEvaluation

__all__ = ["MOST_OF_WALK", "plan_claims"]

MOST_OF_WALK = 0.05
"""Share of the held-out problems that a random legal walk may solve."""


def plan_claims(
    problems: Path, baselines: PlanEvaluation, models: Mapping[int, Judged]
) -> list[Claim]:
    """Every claim about the problems, and about the runs of GRPO of each seed.

    Args:
        problems: The dataset.
        baselines: The planner and the random walk.
        models: By seed: its start, and the runs from there compared with it.
    """
    return [
        *_about_problems(problems, baselines),
        *(claim for seed, one in models.items() for claim in _learned(seed, one)),
    ]


def _about_problems(problems: Path, baselines: PlanEvaluation) -> Iterator[Claim]:
    read = list(read_problems(problems))
    held_out = [one for one in read if one.record.split == "eval"]
    fewest = min(least_steps(one.problem) for one in held_out)
    yield Claim(
        "problems",
        f"every held-out problem needs at least {MIN_EVAL_STEPS} steps",
        fewest,
        fewest >= MIN_EVAL_STEPS,
    )
    sizes = {
        split: {_size(one.record.name) for one in read if one.record.split == split}
        for split in ("train", "eval")
    }
    both = len(sizes["train"] & sizes["eval"])
    yield Claim("problems", "sizes both in training and held out: none", both, both == 0)
    success = {one.policy: one.overall.success for one in baselines.policies}["random-walk"]
    share = float("nan") if success is None else success.value
    yield Claim("random-walk", f"solves under {MOST_OF_WALK:.0%}", share, share < MOST_OF_WALK)


def _learned(seed: int, judged: Judged) -> Iterator[Claim]:
    for kind, one in zip(KINDS[1:], judged.sampled.policies[1:], strict=True):
        gained = None if one.against is None else one.against.success
        yield Claim(
            f"{kind}-{seed}",
            "more of its sampled plans for held-out problems are valid than of its start's: the "
            "interval of the gain is above 0; its lower end",
            float("nan") if gained is None else gained.low,
            gained is not None and gained.low > 0,
        )
        yield Claim(
            f"{kind}-{seed}",
            "plans left unjudged: none",
            one.overall.failed,
            not one.overall.failed,
        )


def _size(name: str) -> str:
    """The name of a problem without its seed, which comes last.

    >>> _size("ferry-l4-c2-s122320450"), _size("bw_ops4_n3_seed1")
    ('ferry-l4-c2', 'bw_ops4_n3')
    """
    return name.rpartition("-s")[0] or name.rpartition("_seed")[0]
