"""``python -m benchmarks.learning``: the proof of learning, from nothing to its table."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.learning.ablations import Ablations
from benchmarks.learning.claims import claims
from benchmarks.learning.commands import CommandChanged, CommandFailed, program_parser
from benchmarks.learning.curves import plot_curves
from benchmarks.learning.plan import FULL, QUICK
from benchmarks.learning.program import Proof
from benchmarks.learning.stages import timed_say
from benchmarks.learning.tables import claims_table, policies_table, times_table
from benchmarks.learning.trainings import CONTROL, grpo_name
from benchmarks.records import surroundings
from trainer.plots import plot_evaluation

__all__ = ["main"]

_OUT, _QUICK_OUT = Path("runs/learn"), Path("runs/learn-quick")


def main(arguments: list[str]) -> int:
    """Runs the proof, or what of it was not done yet.

    Returns:
        0; 1 where a command failed or was run otherwise before, or where something was not reached.
    """
    given = _parser().parse_args(arguments)
    say = timed_say()
    out = given.out or (_QUICK_OUT if given.quick else _OUT)
    proof = Proof(QUICK if given.quick else FULL, out, say)
    try:
        if given.ablations:
            print("\n" + Ablations(proof).table())
            return 0
        proof.prepare(proof.plan.judged, proof.plan.unseen)
        proof.train()
        return _conclude(proof, is_quick=given.quick)
    except (CommandChanged, CommandFailed) as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        say("end")


def _parser() -> argparse.ArgumentParser:
    parser = program_parser(
        "benchmarks.learning",
        "Shows whether GRPO through the reward URL makes a small language model decide "
        "better on simulations that it never saw.",
        _OUT,
        _QUICK_OUT,
    )
    parser.add_argument(
        "--ablations",
        action="store_true",
        help="other settings instead, judged on validation points",
    )
    return parser


def _conclude(proof: Proof, is_quick: bool) -> int:
    """Judges, writes and shows what was found."""
    held_out = proof.judged(proof.plan.judged)
    elsewhere = proof.judged(proof.plan.unseen)
    found = claims(held_out, proof.plan.seeds)
    seconds = proof.stages.seconds()
    out = proof.out
    runs = [*map(grpo_name, proof.plan.seeds), CONTROL]
    plot_curves({name: out / name for name in runs}, out / "curves.png")
    plot_evaluation(held_out, out / "held-out.png")
    text = (
        f"{held_out.points} held-out decision points of {held_out.runs} runs\n\n"
        f"{policies_table(held_out)}\n{claims_table(found)}\n"
        f"{elsewhere.points} points of {elsewhere.runs} runs of a network never trained on\n\n"
        f"{policies_table(elsewhere)}\n{times_table(seconds)}"
    )
    (out / "tables.md").write_text(text, encoding="utf-8")
    summary = {
        **surroundings("torch", "transformers", "trl", "scikit-learn"),
        "seconds": seconds,
        "commands": proof.stages.commands(),
        "held_out": held_out.model_dump(mode="json"),
        "unseen": elsewhere.model_dump(mode="json"),
        "claims": [vars(claim) for claim in found],
    }
    (out / "results.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print("\n" + text)
    print(f"written: {out}/tables.md, results.json, curves.png, held-out.png")
    return 0 if is_quick or all(claim.is_reached for claim in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
