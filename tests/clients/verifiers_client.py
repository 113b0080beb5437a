"""verifiers' own ``openenv`` taskset plays episodes; only the model is ours.

Runs in the environment of ``verifiers.txt``. Reads from standard input the taskset's settings and
what the model says, and writes what the taskset makes of it.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from verifiers.v1.tasksets.openenv import OpenEnvConfig, OpenEnvEnv, OpenEnvTaskset

Json = dict[str, Any]


class Model:
    """In the place of a language model: it has one thing to say."""

    def __init__(self, reply: str) -> None:
        self._reply = reply
        self.read: list[Json] = []
        self.rewards: dict[str, float] = {}
        self.trace = SimpleNamespace(record_reward=self.rewards.__setitem__)

    @asynccontextmanager
    async def interaction(self, _task: object) -> AsyncIterator["Model"]:
        """A conversation."""
        yield self

    async def turn(self, message: str) -> SimpleNamespace:
        """One more reply."""
        self.read.append(json.loads(message))
        return SimpleNamespace(terminated=False, last_reply=self._reply)


async def run(config: Json, reply: str) -> list[Json]:
    """What becomes of each task."""
    found = []
    for task in OpenEnvTaskset(OpenEnvConfig(**config)).load():
        model = Model(reply)
        try:
            await OpenEnvEnv.run(SimpleNamespace(), task, SimpleNamespace(player=model))
            error = None
        except RuntimeError as exc:
            error = str(exc)
        found.append({"rewards": model.rewards, "error": error, "read": model.read})
    return found


async def told(config: Json, replies: list[str]) -> list[list[Json]]:
    """The same for each reply."""
    return [await run(config, reply) for reply in replies]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asyncio.run(told(**json.load(sys.stdin)))))
