"""OpenRLHF's own executor of single turns; only the engine that writes the completions is ours.

Runs in the environment of ``openrlhf.txt``. Reads from standard input what ``--reward.remote_url``
may say and a list of samples, and writes what the executor makes of each sample.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from openrlhf.utils.agent import SingleTurnAgentExecutor

from trainer.models.small_model import SmallModelShape, learn_tokenizer

Json = dict[str, Any]


class Engine:
    """In the place of vLLM: it has one thing to say."""

    def __init__(self, token_ids: list[int]) -> None:
        self._token_ids = token_ids

    async def generate(self, *_: object, **__: object) -> SimpleNamespace:
        """The completion."""
        said = SimpleNamespace(token_ids=self._token_ids, finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[said])


async def outcomes(remote_urls: list[str], samples: list[Json]) -> list[list[Json]]:
    """What the executor makes of each sample, given each of these URLs or files."""
    texts = [sample["row"]["input"] for sample in samples]
    tokenizer = learn_tokenizer(texts, SmallModelShape.vocabulary)
    sampling = SimpleNamespace(max_tokens=256, logprobs=None)

    async def outcome(executor: SingleTurnAgentExecutor, sample: Json) -> Json:
        prompt = tokenizer.apply_chat_template(
            sample["row"]["input"], tokenize=False, add_generation_prompt=True
        )
        written = tokenizer(sample["text"] + tokenizer.eos_token)["input_ids"]
        output = await executor.execute(
            prompt, sample["row"]["label"], sampling, 8192, tokenizer, Engine(written)
        )
        return {key: output[key] for key in ("reward", "scores", "extra_logs")}

    executors = [SingleTurnAgentExecutor(remote_url) for remote_url in remote_urls]
    return await asyncio.gather(
        *(asyncio.gather(*(outcome(one, sample) for sample in samples)) for one in executors)
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asyncio.run(outcomes(**json.load(sys.stdin)))))
