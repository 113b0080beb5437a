"""What one step of offline training minimises does not depend on how it is cut into pieces."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Module
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from trainer.models.loading import Hardware
from trainer.offline.batches import EncodedGroup, Encoder, candidate_logps, collate, with_stored
from trainer.offline.candidates import group_of
from trainer.offline.config import OfflineConfig
from trainer.offline.levels import LevelWeights, group_advantages
from trainer.offline.likeliest import logps_of
from trainer.offline.losses import clipped_ratio_loss, kl_k3, mean_over_tokens
from trainer.offline.stages import CrossEntropyStage, OfflineGRPOStage
from trainer.runs.arguments import stage_arguments

_ANSWERS = (
    "the",
    "well",
    "the well",
    "well the",
    "well well",
    "the the",
    "the the well",
    "well the the",
)
_SIZES = (2, 2, 8, 3, 2)
"""Candidates of each query: the third has as many as nearly all others together."""
_PAD, _BETA, _TEMPERATURE = 0, 0.1, 1.6


class _Gradient(TrainerCallback):
    """The gradient of the first step, before it is clipped or used."""

    def __init__(self) -> None:
        self.found: torch.Tensor | None = None

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Module | None = None,
        **_: object,
    ) -> None:
        """Keeps it."""
        if self.found is None and model is not None:
            self.found = _flat(model)


def _flat(model: Module) -> torch.Tensor:
    grads: list[Any] = [weight.grad for weight in model.parameters()]
    return torch.cat([grad.flatten().clone() for grad in grads])


def _model(folder: Path) -> Any:  # noqa: ANN401
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32")


@pytest.fixture(scope="module")
def groups(tiny_llama: Path) -> list[EncodedGroup]:
    """Five queries with the log-probabilities that another model once gave their candidates."""
    rows = [
        {"prompt": f"well {'the ' * number}", "id_list": list(_ANSWERS[:size]),
         "score_list": [((number + 3) * (place + 1) * 7) % 11 for place in range(size)]}
        for number, size in enumerate(_SIZES)
    ]  # fmt: skip
    queries = [group_of(row, f"row {number}") for number, row in enumerate(rows, start=1)]
    advantages = group_advantages([one.scored for one in queries], LevelWeights(), False)
    encoded = Encoder(AutoTokenizer.from_pretrained(tiny_llama), 64, 2).encode(queries, advantages)
    stored = logps_of(_model(tiny_llama), encoded, partial(collate, pad=_PAD), 4)
    return with_stored(encoded, [logps - 0.05 * number for number, logps in enumerate(stored)])


Gradient = Callable[..., torch.Tensor]


@pytest.fixture
def gradient(tiny_llama: Path, groups: list[EncodedGroup], tmp_path: Path) -> Gradient:
    """Trains one step on all queries, cut in the given way; gives the gradient."""

    def train(stage: Any, pieces: tuple[int, int], **own: object) -> torch.Tensor:  # noqa: ANN401
        config = OfflineConfig(
            model_path=str(tiny_llama),
            beam_data="none",
            batch_size=pieces[0],
            gradient_accumulation_steps=pieces[1],
            lora_rank=0,
            optim="adamw_torch",
            learning_rate=1e-3,
            max_grad_norm=1e9,
        )
        hardware = Hardware("cpu", is_bf16=False, backend="transformers")
        arguments = stage_arguments(config, hardware, tmp_path / f"{pieces}", 1, None)
        trainer = stage(
            collator=partial(collate, pad=_PAD),
            model=_model(tiny_llama),
            args=arguments,
            train_dataset=groups,
            **own,
        )
        grabbed = _Gradient()
        trainer.add_callback(grabbed)
        trainer.train()
        assert trainer.state.global_step == 1
        assert grabbed.found is not None
        return grabbed.found

    return train


_PIECES = [(5, 1), (1, 5), (2, 3), (3, 2), (4, 4)]
"""Queries per micro-batch, and micro-batches per step; all queries are in one step."""


@pytest.mark.parametrize("pieces", _PIECES)
def test_stage_1_is_a_mean_over_queries(
    pieces: tuple[int, int], gradient: Gradient, groups: list[EncodedGroup], tiny_llama: Path
) -> None:
    """By autograd on one whole batch, with weights by hand."""
    found = gradient(CrossEntropyStage, pieces, tau=(2.0, 2.0))
    model, batch = _model(tiny_llama).train(), collate(groups, _PAD)
    errors = mean_over_tokens(-candidate_logps(model, batch), batch["mask"])
    shares = [torch.tensor(one.advantages).div(2.0).softmax(0) for one in groups]
    (torch.cat(shares) * errors).sum().div(len(groups)).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, _flat(model), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("pieces", _PIECES)
@pytest.mark.parametrize("top_epochs", [0, 1])
def test_stage_2_is_a_mean_over_candidates(
    pieces: tuple[int, int],
    top_epochs: int,
    gradient: Gradient,
    groups: list[EncodedGroup],
    tiny_llama: Path,
) -> None:
    """Of all of them, or in an early epoch of the best two of each query."""
    own = {"beta": _BETA, "epsilon": 0.2, "top_epochs": top_epochs, "temperature": _TEMPERATURE}
    found = gradient(OfflineGRPOStage, pieces, **own)
    model, batch = _model(tiny_llama).train(), collate(groups, _PAD)
    logps = candidate_logps(model, batch)
    kept = batch["is_top"] if top_epochs else torch.ones_like(batch["is_top"])
    logps, stored, mask = logps[kept], batch["stored"][kept], batch["mask"][kept]
    gains = batch["advantages"][kept] / _TEMPERATURE
    policy = clipped_ratio_loss(logps, stored, mask, gains, 0.2).policy
    (policy + _BETA * mean_over_tokens(kl_k3(logps, stored), mask).mean()).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, _flat(model), rtol=1e-3, atol=1e-6)
