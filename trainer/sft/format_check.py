"""The check at the end of a supervised run: does the model answer in the right format?

Loads the saved model again and lets it answer the prompts of rows that it was not taught.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.decisions import Decision, Extend
from trainer.evaluation.answers import Generation, ModelPolicy
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Valued, Worth, stored_worth
from trainer.runs.reports import FormCheck

__all__ = ["check_format", "sample_lines", "summed_up"]

_SAMPLES = 20


def check_format(
    model: Path,
    points: Sequence[DecisionPoint],
    generation: Generation,
    samples: Path | None = None,
    step: int = 0,
) -> FormCheck | None:
    """Checks the format of a model's greedy answers; None without points.

    Args:
        model: A folder with a model or an adapter.
        points: Rows that were not trained on.
        generation: How answers are generated.
        samples: Where to write some prompts and answers, for ``greenfork report``; None: nowhere.
        step: The step after which they are given.

    Raises:
        ModelError: The model cannot be loaded.
    """
    if not points:
        return None
    judged = [Judged(point, _worth(point)) for point in points]
    answers = ModelPolicy(str(model), generation).choose(judged, lambda *_: None)
    choices = [each[0] for each in answers]
    if samples is not None:
        lines = sample_lines(judged, choices, step)
        samples.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return summed_up(judged, choices)


def sample_lines(
    judged: Sequence[Judged], choices: Sequence[PolicyAnswer], step: int
) -> list[dict[str, Any]]:
    """Some prompts and answers, as a run's ``samples.jsonl`` holds them: first the invalid ones.

    The reward is minus the queue, where the outcome of the decision is stored; otherwise null.
    """
    pairs = sorted(zip(judged, choices, strict=True), key=lambda pair: pair[1].decision is not None)
    found = []
    for one, choice in pairs[:_SAMPLES]:
        point, decision = one.point, choice.decision
        valued = one.worth.find(decision) if decision is not None else None
        found.append(
            {
                "step": step,
                "prompt": [message.model_dump() for message in point.prompt],
                "answer": choice.text or "",
                "status": "invalid" if decision is None else "scored" if valued else "unscored",
                "code": choice.code,
                "reward": None if valued is None else valued.reward,
            }
        )
    return found


def summed_up(judged: Sequence[Judged], choices: Sequence[PolicyAnswer]) -> FormCheck:
    """Sums up the answers, of which there must be at least one, as shares.

    Args:
        judged: The decision points, with the worth of their decisions.
        choices: One answer per point, in order.
    """
    extends = [c.decision.extend for c in choices if isinstance(c.decision, Extend)]
    agreed = [
        choice.decision is not None and _is_best(one.worth, choice.decision)
        for one, choice in zip(judged, choices, strict=True)
        if one.worth.decisions
    ]
    return FormCheck(
        rows=len(choices),
        strict_share=sum(choice.is_strict is True for choice in choices) / len(choices),
        invalid=dict(Counter(c.code or "invalid" for c in choices if c.decision is None)),
        agreement=sum(agreed) / len(agreed) if agreed else None,
        yes_share=sum(extends) / len(extends) if extends else None,
    )


def _worth(point: DecisionPoint) -> Worth:
    known = stored_worth(point.outcomes, "queue") if point.outcomes else None
    return known or Worth(())


def _is_best(worth: Worth, decision: Decision) -> bool:
    found: Valued | None = worth.find(decision)
    return found is not None and worth.regret(found) <= 0
