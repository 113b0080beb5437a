"""What the proof consists of: problems, seeds, and the settings of the trainings."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "PlanningPlan"]


@dataclass(frozen=True)
class PlanningPlan:
    """Everything that one run of the program does."""

    domains: tuple[str, ...]
    problems: int
    """For each domain; a fifth of them is held out."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Of the trainings: each has a start of its own, and two runs of GRPO from there."""
    problem_seed: int = 1
    start: tuple[str, ...] = ()
    """Settings over those of the preset ``planning-start``, ``name=value``."""
    grpo: tuple[str, ...] = ()
    """Settings over those of the preset ``planning``, for both runs."""
    answer_tokens: int = 192
    """Most tokens of a plan when models are judged."""
    samples: int = 4
    """Plans that are sampled for each held-out problem."""


FULL = PlanningPlan(
    ("ferry",),
    problems=1000,
    grpo=(
        *("max_steps=100", "batch_size=64", "max_new_tokens=72", "max_seq_length=256"),
        "logging_steps=1",
    ),
    answer_tokens=72,
)
"""Three seeds took 26 minutes on two cores."""

QUICK = PlanningPlan(
    ("ferry",),
    problems=15,
    seeds=(1,),
    start=("lessons=64", "batch_size=16", "warmup_steps=1"),
    grpo=(
        *("max_steps=2", "batch_size=8", "num_generations=4", "warmup_steps=1"),
        *("max_new_tokens=32", "max_seq_length=256"),
    ),
    answer_tokens=32,
)
"""Too small to learn anything: shows that the program runs."""
