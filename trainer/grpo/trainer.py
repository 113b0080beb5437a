"""TRL's trainer with extensions for a reward service.

The algorithm is unchanged. Rewards are requested as soon as completions exist, so that the request
overlaps with the reference model; and if a whole batch is lost, training ends *before* its step, on
all ranks, so that a resumed run repeats that step.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.grpo.batch_scorer import BatchScorer
from trainer.grpo.reward_functions import batch_of
from trainer.ranks import first_of_ranks, from_ranks
from trainer.runs.run_stats import RunStats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOTrainer

__all__ = ["BatchLost", "report_codes", "rewarded_trainer", "say_whole"]

_COLUMNS = ("state_id", "tls_id", "decision_kind")
_TOKENS, _COMPLETIONS = 1, 3
"""Positions of the completions, as tokens and as messages, in the result of TRL's ``_generate``; a
test checks them."""


_EVERY_BATCH = "outcomes/invalid"
"""A metric that every batch has."""


class BatchLost(Exception):
    """A batch got no rewards, and its step was not made. Never leaves the package."""


def report_codes(
    stats: RunStats,
    report: Callable[[str, float], None],
    logged: MutableMapping[str, list[float]],
    gather: Callable[[set[str]], list[set[str]]] = from_ranks,
) -> None:
    """Makes every rank and batch report all codes that occurred on any of them, with 0 if absent.

    TRL averages a metric over the ranks and batches that have it: a code that occurs on one of four
    ranks in one of five batches would appear twenty times too frequent.

    Args:
        stats: The codes of this rank; those of others are added.
        report: Reports a metric of the current batch.
        logged: The values of the batches since the last logged line, by metric.
        gather: Returns the codes of all ranks.
    """
    for name in stats.take_up(set().union(*gather(stats.codes))):
        report(name, 0.0)
    for name in stats.codes:
        values = logged.setdefault(name, [])
        values[:0] = [0.0] * (len(logged.get(_EVERY_BATCH, ())) - len(values))


def say_whole(
    completions: Sequence[list[dict[str, Any]]],
    tokens: list[list[int]],
    tokenizer: "PreTrainedTokenizerBase",
) -> None:
    """Restores the full text of completions that TRL has parsed.

    If a tokenizer defines how to parse responses, TRL passes on only the parsed content. Our own
    parser must see the full answer to judge it.

    Args:
        completions: As messages; changed if they were parsed.
        tokens: The tokens of each.
        tokenizer: May have a ``response_template``, or an older ``response_schema``.
    """
    names = ("response_template", "response_schema")
    if all(getattr(tokenizer, name, None) is None for name in names):
        return
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    for messages, text in zip(completions, texts, strict=True):
        messages[:] = [{"role": "assistant", "content": text}]


def rewarded_trainer(scorer: BatchScorer) -> "type[GRPOTrainer]":
    """Creates the trainer class; late, because Unsloth replaces TRL's.

    Args:
        scorer: The scorer of the reward functions.
    """
    from trl import GRPOTrainer

    class RewardedGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
        """GRPO whose rewards come from a service."""

        _rows: Any = None
        """The rows of the current batch."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:  # noqa: ANN401
            self._rows = inputs
            return super()._generate_and_score_completions(inputs)

        def _generate(self, prompts: Any) -> Any:  # noqa: ANN401 - whatever TRL says
            generated = super()._generate(prompts)
            completions = generated[_COMPLETIONS]
            say_whole(completions, generated[_TOKENS], self.processing_class)
            columns = {name: [row[name] for row in self._rows] for name in _COLUMNS}
            batch = batch_of(completions, columns, scorer.opened)
            asked = scorer.scored(completions, batch)
            asyncio.run_coroutine_threadsafe(asked, self.async_loop)
            return generated

        def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            began = time.monotonic()
            rewards = super()._calculate_rewards(*args, **kwargs)
            scorer.stats.waited(time.monotonic() - began)
            if (reason := first_of_ranks(scorer.stats.stop.lost_batch)) is not None:
                scorer.stats.stop.set(reason, is_batch_lost=True)
                raise BatchLost(reason)
            report_codes(scorer.stats, self._log_metric, self._metrics["train"])
            return rewards

    return RewardedGRPOTrainer
