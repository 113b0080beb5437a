"""Reward functions: what a batch is asked for once, and what becomes of each completion."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs
from transformers import TrainerState

from shared.decisions import Extend
from shared.errors import InvalidDecision, ServiceError, ServiceRefused
from shared.errors import ServiceUnreachable as Unreachable
from shared.language.completions import parse_completion
from shared.rewards import RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, ScoreItem, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from trainer.grpo.batch_scorer import (
    REWARD_BOUND,
    BatchScorer,
    Completions,
    ScoredBatch,
    ScoringTerms,
    patience,
)
from trainer.grpo.config import GRPOTrainingConfig
from trainer.grpo.format_reward import format_reward
from trainer.grpo.reward_functions import FormatReward, RewardWeights, TrafficReward, batch_of
from trainer.grpo.run import _deal_seed, _terms
from trainer.runs.run_stats import BatchCounts, FailureLimit, RunStats, zero_variance_share

YES, NO = '{"extend": "yes"}', '{"extend": "no"}'


class FakeService:
    """Gives 0.5 for yes, -0.5 for no; fails completions that say so."""

    def __init__(self, error: ServiceError | None = None) -> None:
        self.calls: list[Sequence[ScoreItem]] = []
        self.error = error

    async def score(
        self, items: Sequence[ScoreItem], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Answers after giving others a turn."""
        self.calls.append(items)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        results = tuple(_answer(item, reward) for item in items)
        counts = Counts(scored=0, invalid=0, failed=0, cached=0, rollouts=2)
        return ScoreResponse(results=results, counts=counts, simulator=Simulator(version="0"))


def _answer(item: ScoreItem, reward: RewardSpec) -> ScoreResult:
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (YES, 1.0),
        (f"\n {NO} ", 1.0),
        ('{"extend": "yes", "extend_sec": 10}', 1.0),
        (f"My answer: {YES}", 0.0),
        (f"```json\n{YES}\n```", 0.0),
        ('{"extend": "maybe"}', -1.0),
        ('{"extend": true}', -1.0),
        ('{"extend": "yes", "why": "queue"}', -1.0),
        (f"[{YES}]", -1.0),
        (f"[{YES},]", -1.0),
        (f"[{YES}", -1.0),
        ('{"extend": NaN}', -1.0),
        ("", -1.0),
        (f"<think>\n\n</think>\n\n{YES}", 1.0),
        (f"</think>{YES}", 1.0),
        (f"<think>East.</think>{YES}", 0.0),
        (f"<think></think>Well: {YES}", 0.0),
        (f"<think>{YES}", -1.0),
        (f"{YES}<think></think>", -1.0),
        (f"\ud83d{YES}", -1.0),
    ],
)
def test_form_of_an_answer(text: str, value: float) -> None:
    """Strict JSON, JSON inside other text, and neither."""
    assert format_reward(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"East is longer.\n</think>\n\n{YES}", 1.0),
        (f"</think>{YES}", 1.0),
        (f"East.</think>So: {YES}", 0.0),
        (f"Should it be {NO}? East", -1.0),
        (YES, -1.0),
    ],
)
def test_reasoning_that_the_template_opened_is_asked_for(text: str, value: float) -> None:
    """The answer alone is judged; a block that was never closed holds none."""
    assert format_reward(text, opened="<think>\n") == value


async def test_the_service_is_told_what_the_template_opened() -> None:
    """A draft in a reasoning that was cut off is worth what an invalid answer is."""
    functions = Functions(FakeService())
    functions.scorer.opened = "<think>\n"
    form, traffic = await functions([f"Perhaps {YES}? East", f"East.</think>{YES}"])
    assert (form, traffic) == ([-1.0, 1.0], [-0.75, 0.5])
    sent = [item.completion for item in functions.service.calls[0]]
    assert sent == [f"<think>\nPerhaps {YES}? East", f"<think>\nEast.</think>{YES}"]


async def test_half_a_surrogate_pair_spoils_its_own_completion_only() -> None:
    """The others of the batch are scored."""
    form, traffic = await Functions(FakeService())([YES, f"\ud83d {YES}", f"\ud83d\udea6{YES}"])
    assert (form, traffic) == ([1.0, -1.0, 0.0], [0.5, -0.75, 0.5])


async def test_a_completion_without_content_is_empty() -> None:
    """As a tokenizer that parses responses may give it."""
    batch = batch_of(
        [[{"role": "assistant", "content": None}]],
        {"state_id": ["s"], "tls_id": ["A"], "decision_kind": ["extend"]},
    )
    assert batch.texts == [""]


async def test_one_call_a_batch() -> None:
    """Two functions and two batches make two calls, over one client made at the first."""
    functions = Functions(FakeService())
    await functions([YES, NO, "?", YES])
    await functions([NO])
    assert [len(items) for items in functions.service.calls] == [4, 1]
    assert functions.connected == 1


async def test_rewards_come_back_in_order() -> None:
    """Scored, invalid with the reward that was asked for, and failed as None in both."""
    form, traffic = await Functions(FakeService())([YES, "?", "fail", NO])
    assert form == [1.0, -1.0, None, 1.0]
    assert traffic == [0.5, -0.75, None, -0.5]


async def test_wild_rewards_are_clamped() -> None:
    """No number from outside can be large enough to destroy the weights; they are counted."""
    functions = Functions(FakeService())
    with capture_logs() as lines:
        for _ in range(2):
            _, traffic = await functions([YES, NO, YES, YES], ["wild", "wild", "s", "s"])
    assert traffic == [REWARD_BOUND, -REWARD_BOUND, 0.5, 0.5]
    assert functions.logged["outcomes/clamped"] == 0.5
    assert functions.stats.clamped == 4
    assert [line["rewards"] for line in lines] == [2], "said once"


async def test_metrics_of_a_batch() -> None:
    """Shares by outcome and by code, the share of yes, and groups that do not vary."""
    functions = Functions(FakeService())
    await functions([YES, YES, YES, "?", NO, "fail", YES], list("aabbccd"))
    assert functions.logged == pytest.approx(
        {
            "outcomes/invalid": 1 / 7,
            "outcomes/failed": 1 / 7,
            "outcomes/cached": 5 / 7,
            "outcomes/clamped": 0,
            "outcomes/yes": 4 / 5,
            "outcomes/zero_variance_groups": 1 / 2,
            "reward_service/seconds": 1,
            "reward_service/rollouts": 2,
            "invalid/no_json": 1 / 7,
            "failed/worker_lost": 1 / 7,
        }
    )


async def test_a_code_that_was_seen_is_reported_as_zero_later() -> None:
    """So that its mean over several batches is not of the bad ones only."""
    functions = Functions(FakeService())
    await functions(["?"])
    await functions([YES])
    assert functions.logged["invalid/no_json"] == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Unreachable("http://x does not answer"), "was lost: http://x does not answer"),
        (ServiceRefused("no such state", "unknown_state"), "rejected a batch: no such state"),
    ],
)
async def test_a_service_that_is_gone_stops_the_run(error: ServiceError, says: str) -> None:
    """Nothing is raised into TRL; every reward is None and the flag says why."""
    functions = Functions(FakeService(error))
    form, traffic = await functions([YES, NO])
    assert form == traffic == [None, None]
    assert says in (functions.stats.stop.reason or "")


class Outage:
    """A service that does not answer so many times, and the pauses that are made meanwhile."""

    def __init__(self, calls: int, error: ServiceError | None = None) -> None:
        self.service = FakeService()
        self._left = calls
        self._error = error or Unreachable("http://x does not answer")
        self.pauses: list[float] = []
        self.now = 0.0

    async def score(
        self, items: Sequence[ScoreItem], reward: RewardSpec, timeout_s: float = 30
    ) -> ScoreResponse:
        """Answers once it is back."""
        self._left -= 1
        if self._left >= 0:
            raise self._error
        return await self.service.score(items, reward, timeout_s)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def scored(self, outage_s: float) -> tuple[list[ScoredBatch], RunStats]:
        """What becomes of a batch of one."""
        stats = RunStats(FailureLimit(0.5, 100))
        policy = replace(
            patience(outage_s), sleep=self._pause, clock=lambda: self.now, rand=lambda: 1.0
        )
        scorer = BatchScorer(lambda: self, ScoringTerms(RewardSpec(), 30), stats, policy)
        return await scorer.scored("batch", Completions([YES], ["s"], ["A"], ["extend"])), stats


async def test_pauses_until_the_service_is_back() -> None:
    """Ever longer, up to ten seconds, and as if nothing had happened; the outage is counted."""
    outage = Outage(calls=7)
    (one,), stats = await outage.scored(outage_s=60)
    assert (one.status, one.reward, stats.stop.reason, stats.outages) == ("scored", 0.5, None, 1)
    assert outage.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize(("outage_s", "pauses"), [(0.0, []), (4.0, [0.5, 1.0, 2.0])])
async def test_gives_up_in_time(outage_s: float, pauses: list[float]) -> None:
    """The batch is lost as a whole then, so its step is not to be made."""
    outage = Outage(calls=99)
    (one,), stats = await outage.scored(outage_s)
    assert (one.status, one.code, outage.pauses) == ("failed", "service_unreachable", pauses)
    assert stats.stop.lost_batch == stats.stop.reason
    assert "was lost" in (stats.stop.reason or "")


async def test_gives_up_after_a_day() -> None:
    """However many thousand times it asked."""
    outage = Outage(calls=99_999)
    (one,), stats = await outage.scored(outage_s=86_400)
    assert (one.code, len(outage.pauses)) == ("service_unreachable", 8643)
    assert stats.stop.lost_batch is not None


async def test_does_not_wait_for_a_service_that_refuses() -> None:
    """Asking again would not help."""
    outage = Outage(99, ServiceRefused("no such state", "unknown_state"))
    (one,), stats = await outage.scored(outage_s=60)
    assert (one.code, outage.pauses, stats.outages) == ("unknown_state", [], 0)
    assert stats.stop.lost_batch is not None


async def test_too_many_failures_stop_the_run() -> None:
    """Only beyond the limit, and the reason names the code."""
    functions = Functions(FakeService(), window=4)
    await functions(["fail", YES, "fail", YES])
    assert functions.stats.stop.reason is None
    await functions(["fail", "fail", YES, YES])
    assert "'worker_lost' (4 times)" in (functions.stats.stop.reason or "")


async def test_seconds_of_a_yes() -> None:
    """Other seconds than the default are sent as a decision; invalid text is sent as it is."""
    functions = Functions(FakeService(), extend_s=10)
    await functions([YES, '{"extend": "yes", "extend_sec": 20}', "?"])
    sent = [(i.decision, i.completion) for i in functions.service.calls[0]]
    assert sent == [
        (Extend(extend=True, extend_s=10), None),
        (Extend(extend=True, extend_s=20), None),
        (None, "?"),
    ]


async def test_groups_are_named() -> None:
    """One id a prompt and generation batch, other ids in the next batch."""
    functions = Functions(FakeService())
    await functions([YES] * 6, list("aabbaa"))
    await functions([YES] * 2, list("aa"))
    assert [[item.group_id for item in call] for call in functions.service.calls] == [
        ["run7/1/0"] * 2 + ["run7/1/1"] * 2 + ["run7/1/2"] * 2,
        ["run7/2/0"] * 2,
    ]


@pytest.mark.parametrize(
    ("keys", "rewards", "share"),
    [
        ("aaaa", [1, 1, 0, 1], 0.5),
        ("abab", [1, 0, 1, 0], 1.0),
        ("aab", [1, 0, 5], 0.0),
        ("aabb", [1, None, 0, 0], 1.0),
        ("a", [1], None),
        ("", [], None),
    ],
)
def test_zero_variance(keys: str, rewards: list[float | None], share: float | None) -> None:
    """Over whole groups only, wherever their rows stand; failed rewards are not compared."""
    assert zero_variance_share(keys, rewards, group_size=2) == share


def test_failures_count_over_a_window() -> None:
    """Old failures are forgotten, and one early failure is not a share of one."""
    limit = FailureLimit(share=0.5, window=4)
    steps: list[Callable[[], bool]] = [
        lambda: limit.exceeded_by([True]),
        lambda: limit.exceeded_by([True, False, False]),
        lambda: limit.exceeded_by([False, False, True, True]),
        lambda: limit.exceeded_by([True]),
    ]
    assert [step() for step in steps] == [False, False, False, True]


def test_no_failure_is_allowed_at_zero() -> None:
    """A limit of 0 stops at the first failure."""
    stats = RunStats(FailureLimit(share=0, window=10))
    stats.add(BatchCounts(items=1, invalid=Counter(), failed=Counter("x")), [True])
    assert stats.stop.reason is not None


def test_too_many_failures_are_no_lost_batch() -> None:
    """The step is made: some of its rewards are there."""
    stats = RunStats(FailureLimit(share=0, window=10))
    stats.add(BatchCounts(items=2, invalid=Counter(), failed=Counter("x")), [True, False])
    assert stats.stop.lost_batch is None


def test_a_step_counts_the_rollouts_that_were_started_ahead_of_it() -> None:
    """Each once: with the batch that is answered next."""
    stats = RunStats(FailureLimit(0.5, 99))
    stats.add(BatchCounts(2, Counter(), Counter()), [False] * 2)
    seen = []
    for ahead, asked in ((4, 1), (0, 0), (2, 0)):
        stats.rollouts += ahead
        stats.service_answered(1.0, rollouts=asked)
        seen.append(stats.metrics()["reward_service/rollouts"])
    assert seen == [5, 0, 2]
    assert stats.rollouts == 7


def test_stats_of_ranks_are_one_run() -> None:
    """Items add up; the reward of a batch is the mean over the ranks, which made it together."""
    all_stats = [RunStats(FailureLimit(0.5, 99)) for _ in range(2)]
    for stats, rewards in zip(all_stats, ((1.0, 2.0), (3.0, 4.0)), strict=True):
        for reward in rewards:
            counts = BatchCounts(4, Counter("x"), Counter("y"), cached=2, clamped=1, reward=reward)
            stats.add(counts, [False] * 4)
            stats.service_answered(1.0, rollouts=3)
    merged = RunStats.merged(all_stats)
    assert (merged.items, merged.cached, merged.clamped, merged.rollouts) == (16, 8, 4, 12)
    assert (merged.invalid, merged.failed) == ({"x": 4}, {"y": 4})
    assert merged.rewards == [2.0, 3.0]
    assert all_stats[0].items == 8, "the rank's own is left alone"


def test_stats_without_a_batch_have_no_metrics() -> None:
    """Nothing is divided by zero."""
    assert RunStats(FailureLimit(0.5, 4)).metrics() == {}


async def test_invalid_answers_as_the_worst_of_their_group() -> None:
    """Of the batch where the group has none; the form still tells them apart."""
    functions = Functions(FakeService(), is_invalid_worst=True)
    form, traffic = await functions([YES, "?", "?", "?"], ["s", "s", "t", "t"])
    assert traffic == [0.5, 0.5, 0.5, 0.5]
    assert (await functions(["?"]))[1] == [-0.75]
    assert form == [1.0, -1.0, -1.0, -1.0]


async def test_control_deals_within_groups() -> None:
    """Some batch gives the rewards to the wrong answers; none gives them to another group."""
    functions = Functions(FakeService(), deal_seed=map(str, range(10)).__next__)
    dealt = [(await functions([YES, NO, NO, NO], ["s", "s", "t", "t"]))[1] for _ in range(10)]
    assert [-0.5, 0.5, -0.5, -0.5] in dealt
    assert all(traffic[2:] == [-0.5, -0.5] for traffic in dealt)


@pytest.mark.parametrize("is_on", [True, False])
def test_settings_reach_the_scoring(is_on: bool) -> None:
    """Those that change what a reward is."""
    config = GRPOTrainingConfig(invalid_as_worst=is_on, shuffle_rewards=is_on)
    terms = _terms(config, lambda: "7")
    assert (terms.is_invalid_worst, terms.deal_seed is not None) == (is_on, is_on)


def test_every_batch_of_every_rank_is_dealt_by_another_seed() -> None:
    """By what a resumed run knows as well: the numbers of the rank and of the step."""

    def trainer(rank: int, step: int) -> SimpleNamespace:
        accelerator = SimpleNamespace(process_index=rank)
        return SimpleNamespace(accelerator=accelerator, state=TrainerState(global_step=step))

    seeds = [_deal_seed(7, trainer(rank, step)) for rank in range(2) for step in range(12)]
    assert len(set(seeds)) == len(seeds)
    assert _deal_seed(7, trainer(1, 11)) == seeds[-1]
    assert _deal_seed(8, trainer(1, 11)) != seeds[-1]
