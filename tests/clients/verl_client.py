"""verl's own reward loop: its settings, its loader of reward functions and its reward managers.

Runs in the environment of ``verl.txt``. Reads from standard input the overrides of verl's settings
and lists of samples, and writes what each reward manager says of them.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_module
from torch import tensor
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopWorker
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.workers.reward_manager import get_reward_manager_cls

from shared.errors import GreenforkError
from trainer.models.small_model import SmallModelShape, learn_tokenizer

Json = dict[str, Any]


def batch_of(samples: list[Json], tokenizer: Any) -> Any:  # noqa: ANN401
    """The samples as a rollout leaves them, one token long where the prompt would be."""
    written = [tokenizer(one["text"] + tokenizer.eos_token)["input_ids"] for one in samples]
    longest = max(map(len, written))
    responses = [ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in written]
    mask = [[1] * (1 + len(ids)) + [0] * (longest - len(ids)) for ids in written]
    rows = [one["row"] for one in samples]
    columns = ("data_source", "reward_model", "extra_info")
    return DataProto.from_dict(
        tensors={
            "prompts": tensor([[tokenizer.pad_token_id]] * len(samples)),
            "responses": tensor(responses),
            "attention_mask": tensor(mask),
        },
        non_tensors={key: np.array([row[key] for row in rows], dtype=object) for key in columns},
    )


async def said_in_the_loop(config: Any, lists: list[list[Json]], tokenizer: Any) -> list[Any]:  # noqa: ANN401
    """What the reward loop says of each list of samples, or the code of what it raises."""
    worker = RewardLoopWorker(config)
    said: list[Any] = []
    for samples in lists:
        try:
            said.append(await worker.compute_score_batch(batch_of(samples, tokenizer)))
        except GreenforkError as exc:
            said.append(exc.code)
    return said


def said_to_the_batch(config: Any, lists: list[list[Json]], tokenizer: Any) -> list[Any]:  # noqa: ANN401
    """The same for the reward manager of earlier versions, which is called with all at once."""
    manager = get_reward_manager_cls("batch")(tokenizer, 0, get_custom_reward_fn(config))
    said: list[Any] = []
    for samples in lists:
        try:
            scores = manager(batch_of(samples, tokenizer), return_dict=True)
        except GreenforkError as exc:
            said.append(exc.code)
        else:
            said.append(scores["reward_extra_info"])
    return said


def answer(overrides: list[str], managers: list[str], lists: list[list[Json]]) -> Json:
    """What each reward manager says."""
    texts = [one["row"]["prompt"] for samples in lists for one in samples]
    tokenizer = learn_tokenizer(texts, SmallModelShape.vocabulary)
    said: Json = {}
    with (
        tempfile.TemporaryDirectory() as model,
        initialize_config_module("verl.trainer.config", version_base=None),
    ):
        tokenizer.save_pretrained(model)
        settings = [*overrides, f"actor_rollout_ref.model.path={model}"]
        for manager in managers:
            config = compose("ppo_trainer", [*settings, f"reward.reward_manager.name={manager}"])
            said[manager] = asyncio.run(said_in_the_loop(config, lists, tokenizer))
        name = "reward.custom_reward_function.name=compute_score_batched"
        said["batch"] = said_to_the_batch(
            compose("ppo_trainer", [*settings, name]), lists, tokenizer
        )
    return said


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(answer(**json.load(sys.stdin))))
