"""The two stages, as Transformers trainers with losses of their own.

The library's training loop provides what we would otherwise have to rewrite: gradient
accumulation, mixed precision, several ranks, the schedule, and checkpoints that restore optimizer,
schedule and random state. Owns how each stage computes its loss and the metrics beside it.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from transformers import Trainer

from trainer.offline.advantages import compute_softmax_weights, tau_at
from trainer.offline.batches import Collator, by_group, candidate_logps, rows_of
from trainer.offline.likeliest import Choices
from trainer.offline.losses import (
    clipped_ratio_loss,
    kl_k3,
    mean_over_tokens,
    reward_weighted_cross_entropy,
)

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["CrossEntropyStage", "ImitationStage", "OfflineGRPOStage", "Stage"]

_COUNT, _QUERIES, _CANDIDATES = "count", "queries", "candidates"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Stage(Trainer, ABC):
    """What both stages share: batches of candidate groups, averaged metrics, and validation.

    Args:
        collator: Makes batches of candidate groups.
        **given: As the Transformers library's own trainer takes it.
    """

    def __init__(self, *, collator: Collator, **given: Any) -> None:  # noqa: ANN401 - an untyped library
        super().__init__(data_collator=collator, **given)
        self.model_accepts_loss_kwargs = True  # it is told what a step's mean is over
        self._seen = _Sums()
        self._advantages: list[Tensor] = []

    def used(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The candidates of a training batch that this step learns from; by default all."""
        return batch

    @abstractmethod
    def counted(self, batch: dict[str, Tensor]) -> int:
        """The denominator of a batch's mean: the number of its queries, or of its candidates."""

    @abstractmethod
    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The ``loss`` of a batch, with gradient, and the metrics logged beside it, as means.

        Args:
            logps: (C, T), log-probabilities of the candidates' tokens under the model.
            batch: As returned by :func:`trainer.offline.batches.collate`.
        """

    def get_batch_samples(
        self,
        epoch_iterator: Iterator[dict[str, Tensor]],
        num_batches: int,
        device: torch.device,
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """The micro-batches of a step, and the denominator of its mean over all ranks."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        own = torch.tensor(sum(self.counted(self.used(batch)) for batch in batches), device=device)
        return batches, self.accelerator.reduce(own, "sum")

    def compute_loss(
        self,
        model: "Module",
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """A micro-batch's contribution to the mean loss of its step.

        A mean of micro-batch means would be wrong if their sizes differ: a candidate in a small
        micro-batch would count more. Ranks average their gradients, so each multiplies its
        contribution by the number of ranks.
        """
        batch = self.used(inputs)
        found = self.measured(candidate_logps(model, batch), batch)
        count = self.counted(batch)
        self._seen.add(found, count, batch)
        self._advantages.append(inputs["advantages"])
        whole = float(count if num_items_in_batch is None else num_items_in_batch)
        part: float = count * self.accelerator.num_processes / whole
        return found["loss"] * part

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means since the last log line to a line of training metrics."""
        if "loss" in logs and self._advantages:
            means = self._seen.means(self._over_ranks)
            del means["loss"]  # it is there, of whole steps
            logs |= means | _distribution(torch.cat(self._advantages))
            self._seen = _Sums()
            self._advantages.clear()
        super().log(logs, start_time)

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Evaluates the validation queries: the losses, and what the model would choose."""
        model: Any = self.model
        model.eval()
        sums, choices = _Sums(), dict.fromkeys(("regret", "agreement", "queries"), 0.0)
        with torch.no_grad():
            for batch in self.get_eval_dataloader():
                inputs = self._prepare_inputs(batch)
                logps = candidate_logps(model, inputs)
                chosen = Choices.of(logps, inputs)
                sums.add(self.measured(logps, inputs), self.counted(inputs), inputs)
                choices["regret"] += chosen.regret
                choices["agreement"] += chosen.agreeing
                choices["queries"] += chosen.queries
        totals = self._over_ranks(choices)
        queries = totals.pop("queries")
        means = sums.means(self._over_ranks) | {name: t / queries for name, t in totals.items()}
        metrics = {f"{metric_key_prefix}_{name}": mean for name, mean in means.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _over_ranks(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Adds up the sums of all ranks; every rank has the same names in the same order."""
        values = torch.tensor(list(sums.values()), device=self.args.device)
        return dict(zip(sums, self.accelerator.reduce(values, "sum").tolist(), strict=True))


class _Sums:
    """Accumulates the metrics of batches as sums, to average them later."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, found: Mapping[str, Tensor], count: int, batch: Mapping[str, Tensor]) -> None:
        """Adds a batch, given its means over ``count`` queries or candidates."""
        for name, value in found.items():
            self._sums[name] += float(value.detach()) * count
        self._sums[_COUNT] += count
        self._sums[_CANDIDATES] += len(batch["mask"])
        self._sums[_QUERIES] += len(batch["sizes"])

    def means(
        self, over_ranks: Callable[[Mapping[str, float]], dict[str, float]]
    ) -> dict[str, float]:
        """The means over all batches on all ranks, and the candidates per query."""
        totals = over_ranks(self._sums)
        count, candidates, queries = (totals.pop(name) for name in (_COUNT, _CANDIDATES, _QUERIES))
        means = {name: total / count for name, total in totals.items()}
        return means | {_CANDIDATES: candidates / queries}


class ImitationStage(Stage):
    """Before stage 1, for a model that starts from nothing: imitates the best of each query.

    The loss of stage 1 at a temperature of 0; of equals, the earlier candidate is the best.
    """

    def counted(self, batch: dict[str, Tensor]) -> int:
        """The queries."""
        return len(batch["sizes"])

    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The cross-entropy of each query's best candidate, the mean over the queries."""
        groups = by_group(batch["advantages"], batch["sizes"])
        best = [one_hot(group.argmax(), len(group)) for group in groups]
        weights = torch.cat(best).to(logps.dtype)
        loss = reward_weighted_cross_entropy(logps, batch["mask"], weights) / len(groups)
        return {"loss": loss, "policy_loss": loss.detach()}


class CrossEntropyStage(Stage):
    """Stage 1: imitates every candidate, the better ones more, and increasingly so.

    Args:
        tau: The temperature of the weights at the first and the last step.
        **given: Passed on to :class:`Stage`.
    """

    def __init__(self, *, tau: tuple[float, float], **given: Any) -> None:  # noqa: ANN401 - an untyped library
        super().__init__(**given)
        self._tau = tau

    def counted(self, batch: dict[str, Tensor]) -> int:
        """The number of queries."""
        return len(batch["sizes"])

    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``sum of weight * cross-entropy``, averaged over the queries.

        Validation uses the final temperature, so that its losses are comparable.
        """
        progress = self.state.global_step / max(1, self.state.max_steps - 1)
        tau = tau_at(progress if logps.requires_grad else 1, *self._tau)
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
    """Stage 2: moves probabilities by advantage, while keeping them near the stored ones.

    Args:
        beta: Weight of the KL term; a callback may change it as the run goes.
        epsilon: How far a ratio may go.
        top_epochs: Epochs that use the best candidates of each query only.
        temperature: What advantages are divided by; a callback may change it, too.
        **given: As :class:`Stage` takes it.
    """

    def __init__(
        self,
        *,
        beta: float,
        epsilon: float,
        top_epochs: int,
        temperature: float = 1.0,
        **given: Any,  # noqa: ANN401 - an untyped library
    ) -> None:
        super().__init__(**given)
        self.beta = beta
        self.temperature = temperature
        self._epsilon = epsilon
        self._top_epochs = top_epochs

    def used(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The best candidates of each query in the early epochs; all of them later."""
        is_early = (self.state.epoch or 0) < self._top_epochs
        return rows_of(batch, batch["is_top"]) if is_early else batch

    def counted(self, batch: dict[str, Tensor]) -> int:
        """The number of candidates."""
        return len(batch["mask"])

    def measured(self, logps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The clipped objective against the stored log-probabilities, plus ``beta`` times the KL.

        The model whose log-probabilities are stored also serves as the reference: both are the
        model that the stage started from.
        """
        stored, mask = batch["stored"], batch["mask"]
        gains = batch["advantages"] / self.temperature
        found = clipped_ratio_loss(logps, stored, mask, gains, self._epsilon)
        kl = mean_over_tokens(kl_k3(logps, stored), mask).mean()
        return {
            "loss": found.policy + self.beta * kl,
            "policy_loss": found.policy.detach(),
            "kl": kl.detach(),
            "ratio": found.ratio,
            "clipped": found.clipped,
            "advantage": batch["advantages"].mean(),
            "temperature": torch.tensor(self.temperature),
        }


def _distribution(advantages: Tensor) -> dict[str, float]:
    """Quantiles of the advantages of whole queries, with names such as ``advantage/p05``."""
    points = torch.tensor(_QUANTILES, device=advantages.device)
    found = advantages.float().quantile(points).tolist()
    return {f"advantage/p{round(q * 100):02}": v for q, v in zip(_QUANTILES, found, strict=True)}
