"""Reward functions on a service that answers at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from shared.decisions import Extend
from shared.errors import InvalidDecision, ServiceError
from shared.language.completions import parse_completion
from shared.rewards import RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, ScoreItem, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from trainer.grpo.batch_scorer import (
    BatchScorer,
    ScoringTerms,
)
from trainer.grpo.reward_functions import FormatReward, RewardWeights, TrafficReward
from trainer.runs.run_stats import FailureLimit, RunStats

__all__ = ["YES", "FakeService", "Functions", "answer"]


YES, NO = '{"extend": "yes"}', '{"extend": "no"}'


class FakeService:
    """Gives 0.5 for yes, -0.5 for no; fails completions that say so."""

    def __init__(self, error: ServiceError | None = None) -> None:
        self.calls: list[Sequence[ScoreItem]] = []
        self.error = error

    async def score(
        self, items: Sequence[Any], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Answers after giving others a turn."""
        self.calls.append(items)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        results = tuple(answer(item, reward) for item in items)
        counts = Counts(scored=0, invalid=0, failed=0, cached=0, rollouts=2)
        return ScoreResponse(results=results, counts=counts, simulator=Simulator(version="0"))


def answer(item: ScoreItem, reward: RewardSpec) -> ScoreResult:
    """What the service says of a completion."""
    if item.completion == "fail":
        error = ErrorInfo(code="worker_lost", message="", retryable=True)
        return ScoreResult(id=None, status="failed", reward=None, error=error)
    try:
        decision = item.decision or parse_completion(item.completion or "", "extend")
    except InvalidDecision as exc:
        error = ErrorInfo.of(exc)
        return ScoreResult(id=None, status="invalid", reward=reward.invalid_reward, error=error)
    assert isinstance(decision, Extend)
    value = (0.5 if decision.extend else -0.5) * (1e9 if item.state_id == "wild" else 1)
    return ScoreResult(id=None, status="scored", reward=value, decision=decision, cached=True)


class Functions:
    """Both reward functions over one fake service, called as TRL calls them."""

    def __init__(
        self,
        service: FakeService,
        window: int = 100,
        extend_s: int = 5,
        is_invalid_worst: bool = False,
        deal_seed: Callable[[], str] | None = None,
    ) -> None:
        self.service = service
        self.stats = RunStats(FailureLimit(0.5, window))
        self.connected = 0
        spec = RewardSpec(invalid_reward=-0.75)
        terms = ScoringTerms(spec, 30, extend_s, 2, "run7", deal_seed, is_invalid_worst)
        scorer = BatchScorer(self._connect, terms, self.stats, clock=iter(range(99)).__next__)
        self.scorer = scorer
        self.form = FormatReward(scorer)
        self.traffic = TrafficReward(scorer, RewardWeights(1.0, 2.0, group_size=2))
        self.logged: dict[str, float] = {}

    def _connect(self) -> FakeService:
        self.connected += 1
        return self.service

    async def __call__(
        self, texts: list[str], states: list[str] | None = None
    ) -> tuple[list[float | None], list[float | None]]:
        """Format and traffic rewards of a batch."""
        completions = [[{"role": "assistant", "content": text}] for text in texts]
        columns = {
            "completions": completions,
            "prompts": [None] * len(texts),
            "completion_ids": [None] * len(texts),
            "trainer_state": None,
            "log_extra": None,
            "log_metric": self.logged.__setitem__,
            "state_id": states or ["s"] * len(texts),
            "tls_id": ["A"] * len(texts),
            "decision_kind": ["extend"] * len(texts),
        }
        form, traffic = await asyncio.gather(
            self.form(**columns),  # type: ignore[arg-type]
            self.traffic(**columns),  # type: ignore[arg-type]
        )
        return form, traffic
