"""What every rank and every batch reports, so that TRL's means are those of the run."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from trainer.grpo.trainer import report_codes, say_whole
from trainer.runs.run_stats import BatchCounts, FailureLimit, RunStats


def _shared_stats(items: int, failed: int, rollouts: int, ranks: int) -> RunStats:
    """Of one rank, after a batch."""
    stats = RunStats(FailureLimit(0.5, 99), ranks=ranks)
    codes = {"timeout": failed} if failed else {}
    stats.service_answered(1.0, rollouts)
    stats.add(BatchCounts(items, Counter(), Counter(codes)), [False] * items)
    return stats


def test_metrics_of_ranks_are_those_of_the_batch() -> None:
    """TRL takes the mean over the ranks that have one: a code that one met is 0 on the others."""
    all_stats = [_shared_stats(4, failed, 3, ranks=4) for failed in (2, 0, 0, 0)]
    gathered = [set(stats.codes) for stats in all_stats]
    reported: list[dict[str, float]] = []
    for stats in all_stats:
        metrics = stats.metrics()
        report_codes(stats, metrics.__setitem__, {}, lambda _: gathered)
        reported.append(metrics)
        assert stats.metrics() == metrics, "and from then on by itself"
    shares = [metrics["failed/timeout"] for metrics in reported]
    assert sum(shares) / len(shares) == 0.125
    rollouts = [metrics["reward_service/rollouts"] for metrics in reported]
    assert sum(rollouts) / len(rollouts) == 12


def test_batches_before_a_code_was_met_had_none_of_it() -> None:
    """A logged line is the mean over all of its batches; what was there is left as it is."""
    stats = _shared_stats(4, failed=2, rollouts=0, ranks=1)
    logged = {"outcomes/invalid": [0.0, 0.0, 0.0], "failed/lost": [0.1]}
    stats.take_up({"failed/lost"})
    for _ in range(2):
        report_codes(stats, dict[str, float]().__setitem__, logged)
        assert logged["failed/timeout"] == [0.0, 0.0, 0.0]
        assert logged["failed/lost"] == [0.0, 0.0, 0.1]


@pytest.mark.parametrize("name", ["response_template", "response_schema"])
def test_completions_that_were_parsed_are_said_whole(name: str) -> None:
    """A reasoning that was cut off must not look like an answer, nor an answer like none."""
    texts = ['East.</think>{"extend": "yes"}', 'Perhaps {"extend": "no"}']
    tokenizer: Any = SimpleNamespace(
        **{name: {}}, batch_decode=lambda ids, skip_special_tokens: [texts[one[0]] for one in ids]
    )
    parsed: list[list[dict[str, Any]]] = [
        [{"role": "assistant", "reasoning_content": "East.", "content": '{"extend": "yes"}'}],
        [{"role": "assistant", "content": ""}],
    ]
    say_whole(parsed, [[0], [1]], tokenizer)
    assert [messages[-1]["content"] for messages in parsed] == texts


def test_completions_that_were_not_parsed_are_left() -> None:
    """Where the tokenizer has no template of responses."""
    messages = [[{"role": "assistant", "content": "as it is"}]]
    say_whole(messages, [[0]], SimpleNamespace())  # type: ignore[arg-type]
    assert messages[0][0]["content"] == "as it is"
