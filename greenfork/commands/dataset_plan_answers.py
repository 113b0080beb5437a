"""``greenfork dataset plans`` on planning problems: answers with their scores, by problem."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from greenfork.output import print_json
from greenfork.screen import say
from shared.errors import ConfigError, DatasetError
from shared.files import os_errors, write_atomically

if TYPE_CHECKING:
    from pydantic import SecretStr

    from trainer.data.answers import ScoredAnswer

__all__ = ["PlanAnswers", "PlanReward", "collect_answers"]

PlanReward = Literal["plan_valid", "plan_progress"]
_SEED = 0


@dataclass(frozen=True)
class PlanAnswers:
    """Where the answers to the problems of a dataset come from, and their scores."""

    dataset: Path
    split: Literal["train", "eval"]
    problems: int | None
    """Most of them, evenly spread."""
    answers: Path | None = None
    """What ``greenfork score`` read …"""
    scores: Path | None = None
    """… and wrote."""
    model: str | None = None
    """Otherwise: what this model answers, and the reference plan, scored at ``url``."""
    samples: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 256
    url: str | None = None
    api_key: "SecretStr | None" = None
    reward: PlanReward = "plan_progress"
    timeout_s: float = 300


def collect_answers(asked: PlanAnswers, out: Path, as_json: bool) -> bool:
    """Writes a query with its candidates for each problem, and tells whether any answer failed.

    Raises:
        ConfigError: Neither files of answers and scores nor a model and a URL are given.
        DatasetError: No problem has two different answers.
    """
    from trainer.data.answers import answered_rows

    rows = _rows(asked)
    found = _answers(asked, rows)
    queries = list(answered_rows(rows, found))
    if not queries:
        raise DatasetError(
            f"no problem of {asked.dataset} has two different answers with scores: give more of "
            "them, by --samples or --temperature"
        )
    with os_errors(ConfigError, f"cannot write {out}"):
        write_atomically(out, "".join(f"{json.dumps(one)}\n" for one in queries).encode())
    failed = sum(one.reward is None for one in found)
    if as_json:
        print_json({"output": str(out), "rows": len(queries), "failed": failed})
    else:
        say(f"{len(queries)} of {len(rows)} problems with candidate plans in {out}")
        if failed:
            say(f"{failed} answers without a score are left out", err=True)
        say(f"Next: greenfork train offline --config planning-offline --beam-data {out}")
    return bool(failed)


def _rows(asked: PlanAnswers) -> list[dict[str, Any]]:
    from trainer.data.prompts import read_rows

    rows = list(read_rows(asked.dataset / f"{asked.split}.jsonl"))
    if not rows:
        raise DatasetError(f"{asked.dataset} has no rows of the split {asked.split}")
    count = min(asked.problems or len(rows), len(rows))
    kept = ("prompt", "domain", "problem_id", "problem_file", "difficulty", "plan", "plan_steps")
    return [
        {name: row[name] for name in kept if row.get(name) is not None}
        for row in (rows[place * len(rows) // count] for place in range(count))
    ]


def _answers(asked: PlanAnswers, rows: list[dict[str, Any]]) -> "list[ScoredAnswer]":
    import asyncio

    from trainer.data.answers import ScoredAnswer, scored_answers

    if asked.answers is not None and asked.scores is not None:
        return scored_answers(asked.answers, asked.scores)
    if asked.model is None or asked.url is None:
        raise ConfigError(
            "candidate plans need --model and --url, to sample and to score them; or --answers and "
            "--scores, what greenfork score has read and written"
        )
    plans = list(_sampled(asked, rows))
    rewards = asyncio.run(_scored(asked, plans))
    return [
        ScoredAnswer(problem_id, text, reward)
        for (problem_id, text), reward in zip(plans, rewards, strict=True)
    ]


def _sampled(asked: PlanAnswers, rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Different answers of the model to each problem, and its reference plan."""
    from trainer.evaluation.generating import Generation, TextGenerator

    assert asked.model is not None  # noqa: S101 - checked by the caller
    how = Generation(
        samples=asked.samples,
        temperature=asked.temperature,
        max_new_tokens=asked.max_new_tokens,
        seed=_SEED,
    )
    generator = TextGenerator.load(asked.model, how)
    prompts = generator.rendered([row["prompt"] for row in rows])
    for places, texts in generator.generated(prompts):
        for place, said in zip(places, texts, strict=True):
            row = rows[place]
            reference = [row["plan"]] if row.get("plan") else []
            for text in dict.fromkeys([*reference, *said]):
                yield row["problem_id"], text


async def _scored(asked: PlanAnswers, plans: list[tuple[str, str]]) -> list[float | None]:
    from reward_client import RewardClient
    from shared.rewards import RewardSpec
    from shared.wire.scoring import DomainItem

    assert asked.url is not None  # noqa: S101 - checked by the caller
    items = [
        DomainItem(domain="planning", problem_id=problem_id, completion=text)
        for problem_id, text in plans
    ]
    spec = RewardSpec(name=asked.reward)
    async with RewardClient(asked.url, asked.api_key) as client:
        results = (await client.score(items, spec, asked.timeout_s)).results
    return [result.reward for result in results]
