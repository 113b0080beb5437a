"""OpenEnv's stock client plays episodes; only who decides is ours.

Runs in the environment of ``openenv.txt``. Reads from standard input where the service is and what
to play, and writes what the client was told.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openenv.core.generic_client import GenericEnvClient

Json = dict[str, Any]


def greedy(observation: Json) -> Json:
    """The green with most vehicles on its lanes at each signal that may be decided, by signal."""
    decided = {}
    for tls_id, signal in observation["signals"].items():
        if not signal["legal"]:
            continue
        phases = json.loads(signal["prompt"][-1]["content"])["phases"]
        legal = [one["next_phase"] for one in signal["legal"]]
        waiting = {p: phases[str(p)]["queued"] + phases[str(p)]["approaching"] for p in legal}
        decided[tls_id] = {"next_phase_id": max(legal, key=lambda p: (waiting[p], -p))}
    return decided


def as_a_model(observation: Json) -> Json:
    """The same as an action: a text, or with several signals an object by signal."""
    decided = greedy(observation)
    if len(observation["signals"]) > 1:
        return {"completion": decided}
    return {"completion": f"<think>Most vehicles.</think>{json.dumps([*decided.values(), {}][0])}"}


async def play(
    url: str, reset: Json, steps: int | None, decide: Callable[[Json], Json] = as_a_model
) -> Json:
    """An episode, to its end or for so many steps."""
    actions: list[Json] = []
    rewards: list[float | None] = []
    async with GenericEnvClient(base_url=url) as client:
        result = await client.reset(**reset)
        first = result.observation
        while not result.done and (steps is None or len(rewards) < steps):
            action = decide(result.observation)
            actions.append(action)
            result = await client.step(action)
            rewards.append(result.reward)
        state = await client.state()
    last = {"observation": result.observation, "done": result.done, "metadata": result.metadata}
    return {"first": first, "actions": actions, "rewards": rewards, "last": last, "state": state}


async def refused(url: str, reset: Json) -> str:
    """What the client is told where it goes wrong."""
    try:
        await play(url, reset, None)
    except RuntimeError as exc:
        return str(exc)
    return "it went well"


def total_of(example: str, scenario_id: str) -> float:
    """What the example of the documentation adds up to."""
    names: Json = {"SCENARIO": scenario_id}
    exec(compile(example, "example", "exec"), names)  # noqa: S102
    total: float = names["total"]
    return total


async def told(url: str, games: dict[str, Json], wrong: dict[str, Json]) -> Json:
    """What became of each game, and of what must go wrong."""
    found = {name: await play(url, one["reset"], one["steps"]) for name, one in games.items()}
    return {"games": found, "wrong": {name: await refused(url, one) for name, one in wrong.items()}}


if __name__ == "__main__":
    question = json.load(sys.stdin)
    total = total_of(**question.pop("example"))
    answer = asyncio.run(told(**question)) | {"total": total}
    Path(sys.argv[1]).write_text(json.dumps(answer))
