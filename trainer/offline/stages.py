"""The two stages, as trainers of the Transformers library that compute another loss.

Its training loop brings what a loop of our own would have to repeat: gradient accumulation, mixed
precision, several ranks, the schedule, and checkpoints that are resumed with optimizer, schedule
and random state. Owns the losses of the stages and what is measured beside them.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Trainer

from trainer.offline.advantages import compute_softmax_weights, tau_at
from trainer.offline.batches import by_group, candidate_logps, collate, rows_of
from trainer.offline.losses import (
    clipped_ratio_loss,
    kl_k3,
    mean_over_tokens,
    reward_weighted_cross_entropy,
)
from trainer.offline.validation import Choices

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["CrossEntropyStage", "OfflineGRPOStage", "Stage", "TauLine"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class TauLine:
    """The temperature at the first and the last step of stage 1."""

    start: float
    end: float


class Stage(Trainer, ABC):
    """What both stages share: batches of candidate groups, means of what is measured, validation.

    Args:
        pad: The token that fills up.
        **given: As the Transformers library's own trainer takes it.
    """

    def __init__(self, *, pad: int, **given: Any) -> None:  # noqa: ANN401 - an untyped library
        super().__init__(data_collator=partial(collate, pad=pad), **given)
        self.model_accepts_loss_kwargs = False  # the loss is a mean already, batch by batch
        self._seen: dict[str, list[float]] = defaultdict(list)
        self._advantages: list[Tensor] = []

    def used(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The candidates of a training batch that this step learns from: all of them."""
        return batch

    @abstractmethod
    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The ``loss`` of a batch, with gradient, and what is logged beside it, by name.

        Args:
            logps: (C, T), of the candidates' tokens under the model.
            batch: As :func:`trainer.offline.batches.collate` makes it.
        """

    def compute_loss(
        self,
        model: "Module",
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of a training batch."""
        batch = self.used(inputs)
        found = self.measured(candidate_logps(model, batch), batch)
        for name, value in found.items():
            if name != "loss":
                self._seen[name].append(float(value))
        self._advantages.append(inputs["advantages"])
        return found["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last line to a line of training metrics."""
        if "loss" in logs and self._advantages:
            logs |= self._means() | _distribution(torch.cat(self._advantages))
            self._seen.clear()
            self._advantages.clear()
        super().log(logs, start_time)

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measures the validation queries: the losses, and what the model would choose."""
        model: Any = self.model
        model.eval()
        sums: dict[str, float] = defaultdict(float)
        with torch.no_grad():
            for batch in self.get_eval_dataloader():
                inputs = self._prepare_inputs(batch)
                logps = candidate_logps(model, inputs)
                chosen = Choices.of(logps, inputs)
                for name, value in self.measured(logps, inputs).items():
                    sums[name] += float(value) * chosen.queries
                sums["regret"] += chosen.regret
                sums["agreement"] += chosen.agreeing
                sums["queries"] += chosen.queries
        totals = self._over_ranks(sums)
        count = totals.pop("queries")
        metrics = {f"{metric_key_prefix}_{name}": t / count for name, t in totals.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _means(self) -> dict[str, float]:
        sums = {name: sum(values) for name, values in self._seen.items()}
        totals = self._over_ranks(sums | {"batches": float(len(self._advantages))})
        batches = totals.pop("batches")
        return {name: total / batches for name, total in totals.items()}

    def _over_ranks(self, sums: Mapping[str, float]) -> dict[str, float]:
        """The sums of all ranks together; every rank has the same names in the same order."""
        values = torch.tensor(list(sums.values()), device=self.args.device)
        return dict(zip(sums, self.accelerator.reduce(values, "sum").tolist(), strict=True))


class CrossEntropyStage(Stage):
    """Stage 1: imitates every candidate, the better ones more, and ever more so.

    Args:
        tau: The temperature of the weights.
        **given: As :class:`Stage` takes it.
    """

    def __init__(self, *, tau: TauLine, **given: Any) -> None:  # noqa: ANN401 - an untyped library
        super().__init__(**given)
        self._tau = tau

    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``sum of weight * cross-entropy``, the mean over the queries.

        Validation takes the last temperature, so that its losses can be compared.
        """
        progress = self.state.global_step / max(1, self.state.max_steps - 1)
        tau = tau_at(progress if logps.requires_grad else 1, self._tau.start, self._tau.end)
        groups = by_group(batch["advantages"], batch["sizes"])
        weights = [compute_softmax_weights(group.tolist(), tau) for group in groups]
        flat = torch.tensor([w for group in weights for w in group], device=batch["mask"].device)
        loss = reward_weighted_cross_entropy(logps, batch["mask"], flat) / len(groups)
        greatest = sum(max(group) for group in weights) / len(groups)
        return {
            "loss": loss,
            "policy_loss": loss.detach(),
            "tau": torch.tensor(tau),
            "greatest_weight": torch.tensor(greatest),
        }


class OfflineGRPOStage(Stage):
    """Stage 2: raises and lowers probabilities by advantage, within reach of the stored ones.

    Args:
        beta: Weight of the KL term; a callback may change it as the run goes.
        epsilon: How far a ratio may go.
        top_epochs: Epochs that use the best candidates of each query only.
        **given: As :class:`Stage` takes it.
    """

    def __init__(
        self,
        *,
        beta: float,
        epsilon: float,
        top_epochs: int,
        **given: Any,  # noqa: ANN401 - an untyped library
    ) -> None:
        super().__init__(**given)
        self.beta = beta
        self._epsilon = epsilon
        self._top_epochs = top_epochs

    def used(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The best of each query in the early epochs, all later."""
        is_early = (self.state.epoch or 0) < self._top_epochs
        return rows_of(batch, batch["is_top"]) if is_early else batch

    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The clipped objective against the stored log-probabilities, plus ``beta`` times the KL.

        The model that log-probabilities were stored of is the reference, too: both are the one that
        the stage began with.
        """
        stored, mask = batch["stored"], batch["mask"]
        found = clipped_ratio_loss(logps, stored, mask, batch["advantages"], self._epsilon)
        kl = mean_over_tokens(kl_k3(logps, stored), mask).mean()
        return {
            "loss": found.policy + self.beta * kl,
            "policy_loss": found.policy.detach(),
            "kl": kl.detach(),
            "ratio": found.ratio,
            "clipped": found.clipped,
            "advantage": batch["advantages"].mean(),
            "candidates": torch.tensor(len(mask) / len(batch["sizes"])),
        }


def _distribution(advantages: Tensor) -> dict[str, float]:
    """Quantiles of the advantages of whole queries, by name: ``advantage/p05``."""
    points = torch.tensor(_QUANTILES, device=advantages.device)
    found = advantages.float().quantile(points).tolist()
    return {f"advantage/p{round(q * 100):02}": v for q, v in zip(_QUANTILES, found, strict=True)}
