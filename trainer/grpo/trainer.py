"""TRL's trainer with what a reward service makes necessary, through methods that it calls.

Nothing of the algorithm is here. The rewards of a batch are asked for as soon as its completions
exist, so that the call goes on while the reference model computes; and a batch that was lost as a
whole ends the training *before* its step, on all ranks at once, so that a resumed run makes that
very step.
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
"""Where in what TRL's ``_generate`` returns the completions are, as tokens and as messages; a test
looks whether they are."""


_EVERY_BATCH = "outcomes/invalid"
"""A metric that each batch has."""


class BatchLost(Exception):
    """No reward of a batch can be had, and its step was not made. Never leaves the package."""


def report_codes(
    stats: RunStats,
    report: Callable[[str, float], None],
    logged: MutableMapping[str, list[float]],
    gather: Callable[[set[str]], list[set[str]]] = from_ranks,
) -> None:
    """Has every rank and every batch report each code that any of them met, 0 where it did not.

    TRL takes a metric's mean over the ranks and batches that have it: what one of four ranks met
    once in five batches would be twenty times as frequent.

    Args:
        stats: What this rank met; takes up what the others did.
        report: Takes a metric of the batch that is being scored, and its value.
        logged: The values of the batches since the last logged line, by metric.
        gather: Tells the codes of all ranks.
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
    """Puts back what TRL took out of completions that it parsed.

    Where a tokenizer says how responses are parsed, TRL hands over what its patterns call the
    content. Whether an answer is one, and in which form, is for our own reader to say.

    Args:
        completions: As messages; changed where they were parsed.
        tokens: Of each.
        tokenizer: What may have a ``response_template``, or an older ``response_schema``.
    """
    names = ("response_template", "response_schema")
    if all(getattr(tokenizer, name, None) is None for name in names):
        return
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    for messages, text in zip(completions, texts, strict=True):
        messages[:] = [{"role": "assistant", "content": text}]


def rewarded_trainer(scorer: BatchScorer) -> "type[GRPOTrainer]":
    """The trainer's class; made late, because Unsloth replaces TRL's.

    Args:
        scorer: What the trainer's reward functions ask.
    """
    from trl import GRPOTrainer

    class RewardedGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
        """GRPO whose rewards come from a service."""

        _rows: Any = None
        """Of the batch that is being made."""

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
