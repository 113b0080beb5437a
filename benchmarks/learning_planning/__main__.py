"""``python -m benchmarks.learning_planning``: the proof of learning to plan, to its table."""

import argparse
import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.learning.commands import CommandChanged, CommandFailed, program_parser
from benchmarks.learning.curves import plot_curves
from benchmarks.learning.stages import timed_say
from benchmarks.learning.tables import claims_table, times_table
from benchmarks.learning_planning.claims import plan_claims
from benchmarks.learning_planning.plan import FULL, QUICK
from benchmarks.learning_planning.program import PlanningProof
from benchmarks.learning_planning.tables import plans_table
from benchmarks.records import surroundings

__all__ = ["main"]

_OUT, _QUICK_OUT = Path("runs/learn-planning"), Path("runs/learn-planning-quick")
_PANELS = (
    ("plans/success", "plans that are valid, training problems"),
    ("plans/goals_share", "share of goals reached"),
    ("outcomes/invalid", "share of invalid answers"),
    ("outcomes/zero_variance_groups", "groups without variance"),
)


def main(arguments: list[str]) -> int:
    """Runs the proof, or what of it was not done yet.

    Returns:
        0; 1 where a command failed or was run otherwise before, or where something was not reached.
    """
    given = _parser().parse_args(arguments)
    say = timed_say()
    plan = QUICK if given.quick else FULL
    if given.seeds is not None:
        plan = replace(plan, seeds=tuple(range(1, given.seeds + 1)))
    out = given.out or (_QUICK_OUT if given.quick else _OUT)
    proof = PlanningProof(plan, out, say)
    try:
        proof.prepare()
        return _conclude(proof, is_quick=given.quick)
    except (CommandChanged, CommandFailed) as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        say("end")


def _parser() -> argparse.ArgumentParser:
    parser = program_parser(
        "benchmarks.learning_planning",
        "Shows whether GRPO through the reward URL makes more of a small language model's "
        "plans valid, for problems of sizes that it never saw.",
        _OUT,
        _QUICK_OUT,
    )
    parser.add_argument("--seeds", type=int, choices=(1, 2, 3), help="how many (3)")
    return parser


def _conclude(proof: PlanningProof, is_quick: bool) -> int:
    """Judges, writes and shows what was found."""
    baselines, models = proof.train_and_judge()
    found = plan_claims(proof.trainings.problems, baselines, models)
    out, seconds = proof.out, proof.stages.seconds()
    runs = [f"{kind}-{seed}" for seed in proof.plan.seeds for kind in ("curriculum", "plain")]
    plot_curves({name: out / name for name in runs}, out / "curves.png", _PANELS)
    text = (
        f"{baselines.problems} held-out problems\n\n{plans_table(baselines, models)}\n"
        f"{claims_table(found)}\n{times_table(seconds)}"
    )
    (out / "tables.md").write_text(text, encoding="utf-8")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = {
        **surroundings("torch", "transformers", "trl", "unified-planning"),
        "seconds": seconds,
        "processor_seconds_now": round(used.ru_utime + used.ru_stime),
        "commands": proof.stages.commands(),
        "baselines": baselines.model_dump(mode="json"),
        "models": {
            seed: {how: one.model_dump(mode="json") for how, one in vars(judged).items()}
            for seed, judged in models.items()
        },
        "claims": [vars(claim) for claim in found],
    }
    (out / "results.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print("\n" + text)
    print(f"written: {out}/tables.md, results.json, curves.png")
    return 0 if is_quick or all(claim.is_reached for claim in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
