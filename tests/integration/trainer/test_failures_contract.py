"""What a failed reward does to real GRPO steps: nothing, but that its completion is not there."""

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from reward_client import ClientOptions, RetryPolicy, RewardClient
from shared.errors import GreenforkError, TrainingStopped
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from tests.integration.trainer.small_service import Reply, SmallService, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.callbacks.rollback import RewindCallback
from trainer.grpo.format_reward import format_reward
from trainer.models.loading import Hardware

if TYPE_CHECKING:
    from trl import GRPOConfig, GRPOTrainer

Settings = Callable[..., GRPOTrainingConfig]

GROUP = 4
BATCH = 16
FORMAT_WEIGHT, TRAFFIC_WEIGHT = 0.5, 2.0
EPSILON = 1e-4
"""What TRL adds to the standard deviation, so as not to divide by zero."""

CODES = {
    "worker_lost": True,
    "holder_lost": True,
    "rollout_crashed": True,
    "rollout_timeout": True,
    "deadline_exceeded": True,
    "ledger_unavailable": True,
    "rollout_rejected": False,
    "rollout_failed": False,
    "trace_differs": False,
    "out_of_memory": False,
    "something_newer": False,
}
"""Codes of failures, and whether a retry can help."""

LOST: tuple[frozenset[int], ...] = (
    frozenset(),
    frozenset({5}),
    frozenset(range(0, BATCH, 2)),
    frozenset({0, 1, 2, 3, 9, 15}),
    frozenset({4, 5, 6, 8, 9, 10, 14}),
    frozenset(range(1, BATCH)),
    frozenset(range(BATCH)),
)
"""Positions of the completions that fail, step by step: none, one, half, a whole group, all but one
of a group, all but one of the batch, all."""


def failed(item: ScoreItem, code: str) -> ScoreResult:
    """A result without a reward."""
    error = ErrorInfo(code=code, message="lost", retryable=CODES[code])
    return ScoreResult(id=item.id, status="failed", reward=None, error=error)


@dataclass
class Lossy:
    """Scores by a rule, and loses what it is told to, each loss for another reason."""

    lost: tuple[frozenset[int], ...] = LOST
    totals: list[list[float | None]] = field(default_factory=list)
    """Of each step's completions, what they are worth; None where that was lost."""
    codes: list[str] = field(default_factory=list)
    """Why, loss by loss."""

    def __call__(self, item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        """Answers one item; the check at the start sends a decision, which is not lost."""
        if item.completion is None:
            return yes_is_better(item, request)
        position = next(i for i, one in enumerate(request.items) if one is item)
        if position == 0:
            self.totals.append([])
        if position in self.lost[len(self.totals) - 1]:
            self.codes.append(list(CODES)[len(self.codes) % len(CODES)])
            self.totals[-1].append(None)
            return failed(item, self.codes[-1])
        result = yes_is_better(item, request)
        self.totals[-1].append(worth(item, result))
        return result


def worth(item: ScoreItem, result: ScoreResult) -> float:
    """What a completion is worth: its form, and its traffic."""
    assert item.completion is not None
    assert result.reward is not None
    return FORMAT_WEIGHT * format_reward(item.completion) + TRAFFIC_WEIGHT * result.reward


def advantages_of(totals: list[float | None], scale: str) -> list[float]:
    """What GRPO gives groups out of which the lost completions were taken beforehand.

    ``(r - mean of its group) / (std + 1e-4)``, the standard deviation that of the group, of the
    batch, or nothing to divide by (Shao et al., https://arxiv.org/abs/2402.03300).
    """
    everyone = [total for total in totals if total is not None]
    expected: list[float] = []
    for start in range(0, len(totals), GROUP):
        group = totals[start : start + GROUP]
        survivors = [total for total in group if total is not None]
        compared = {"group": survivors, "batch": everyone, "none": []}[scale]
        std = statistics.stdev(compared) + EPSILON if len(compared) > 1 else 1.0
        for total in group:
            if total is None or len(survivors) < 2:
                expected.append(0.0)
            else:
                expected.append((total - statistics.mean(survivors)) / std)
    return expected


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The advantages that TRL trains with, step by step."""
    from trl import GRPOTrainer

    real = GRPOTrainer._generate_and_score_completions
    found: list[list[float]] = []

    def watched(self: GRPOTrainer, inputs: list[dict[str, object]]) -> dict[str, Any]:
        output: dict[str, Any] = real(self, inputs)
        found.append(output["advantages"].tolist())
        return output

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", watched)
    return found


@pytest.fixture
def lossy_settings(settings: Settings) -> Settings:
    """Settings under which no number of failures ends a run."""

    def make(url: str, **changes: object) -> GRPOTrainingConfig:
        values: dict[str, object] = {
            "batch_size": BATCH,
            "num_generations": GROUP,
            "format_weight": FORMAT_WEIGHT,
            "tsc_weight": TRAFFIC_WEIGHT,
            "failed_share_limit": 0.99,
            "failed_window": 1000,
            "max_steps": len(LOST),
            "save_merged": False,
        }
        return settings(url, **(values | changes))

    return make


class TestAdvantages:
    """Survivors are treated as if the others had never been generated."""

    @pytest.mark.parametrize("scale", ["group", "batch", "none"])
    def test_are_those_of_the_survivors(
        self, lossy_settings: Settings, seen: list[list[float]], scale: str
    ) -> None:
        """For every code, from no loss to the loss of everything, in one run."""
        lossy = Lossy()
        with running(SmallService(lossy)) as url:
            report = train_grpo(lossy_settings(url, scale_rewards=scale))
        assert set(lossy.codes) == set(CODES)
        assert len(seen) == report.steps == len(LOST)
        for step, (totals, advantages) in enumerate(zip(lossy.totals, seen, strict=True)):
            assert advantages == pytest.approx(advantages_of(totals, scale), abs=1e-4), step
        assert any(any(advantages) for advantages in seen[:5]), "there was something to learn"
        assert seen[-1] == [0.0] * BATCH

    def test_what_a_retry_heals_is_in_its_group(
        self, lossy_settings: Settings, seen: list[list[float]]
    ) -> None:
        """Only what failed is asked for again, and then nothing is missing."""
        gone: set[int] = set()
        totals: list[float] = []

        def once(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
            if item.completion is not None and len(request.items) == BATCH and len(gone) < 3:
                gone.add(len(gone))
                return failed(item, "worker_lost")
            result = yes_is_better(item, request)
            if item.completion is not None and result.reward is not None:
                totals.append(TRAFFIC_WEIGHT * result.reward)
            return result

        service = SmallService(once)
        with running(service) as url:
            report = train_grpo(lossy_settings(url, reward_retries=1, max_steps=1))
        assert [len(request.items) for request in service.requests] == [1, BATCH, 3]
        assert (report.failed_share, len(totals), len(seen)) == (0, BATCH, 1)

    @pytest.mark.usefixtures("_impatient")
    def test_one_of_several_requests_is_lost(
        self, lossy_settings: Settings, seen: list[list[float]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A batch too large for one request: what another one brought is learnt from."""
        service = EverySecondLost(yes_is_better)
        options = ClientOptions(max_items_per_request=BATCH // 2 + 1, max_concurrency=1)
        monkeypatch.setattr("trainer.grpo.run.connect", impatient(options))
        with running(service) as url:
            train_grpo(lossy_settings(url, max_steps=3))
        for step, advantages in enumerate(seen):
            answered, lost = service.requests[1 + 2 * step : 3 + 2 * step]
            assert len(answered.items) == len(lost.items) == BATCH // 2, "cut between groups"
            survivors = [worth(item, yes_is_better(item, answered)) for item in answered.of_traffic]
            totals: list[float | None] = [*survivors, *[None] * len(lost.items)]
            assert advantages == pytest.approx(advantages_of(totals, "group"), abs=1e-4)
        assert any(any(advantages) for advantages in seen)

    def test_hand_computed(self) -> None:
        """The reference above, on a group that fits on a napkin."""
        root = math.sqrt(0.5)
        half = 0.5 / (root + EPSILON)
        assert advantages_of([1.0, None, 0.0, None], "group") == [half, 0.0, -half, 0.0]
        assert advantages_of([1.0, None, 0.0, None], "none") == [0.5, 0.0, -0.5, 0.0]


def broken(status: int, code: str) -> Callable[[ScoreResponse], Reply]:
    """A problem instead of the answer."""
    problem = {"title": "T", "status": status, "detail": "D", "code": code, "retryable": True}
    return lambda response: Reply(json.dumps(problem).encode(), status)


def _cut(response: ScoreResponse) -> Reply:
    body = response.model_dump_json().encode()
    return Reply(body[: len(body) // 2], claimed_bytes=len(body))


def _half(response: ScoreResponse) -> Reply:
    return Reply(
        response.model_copy(update={"results": response.results[:8]}).model_dump_json().encode()
    )


def _nan(response: ScoreResponse) -> Reply:
    text = response.model_dump_json()
    assert '"reward":0.5' in text or '"reward":-' in text
    return Reply(text.replace('"reward":', '"reward":NaN,"was":', 1).encode())


REPLIES: dict[str, Callable[[ScoreResponse], Reply] | None] = {
    "connection closed": None,
    "503": broken(503, "overloaded"),
    "504": broken(504, "deadline_exceeded"),
    "500": broken(500, "internal"),
    "404": broken(404, "unknown_state"),
    "cut in the middle": _cut,
    "half the results": _half,
    "NaN": _nan,
    "no JSON": lambda response: Reply(b"<html>"),
    "silence": lambda response: Reply(delay_s=1.5),
}


class EverySecondLost(SmallService):
    """Answers, then says that it is too busy, and so on; the check at the start does not count."""

    def score(self, body: bytes) -> ScoreResponse | Reply | None:
        """The answer to a request."""
        response = super().score(body)
        is_lost = len(self.requests) > 1 and len(self.requests) % 2
        assert isinstance(response, ScoreResponse)
        return broken(503, "overloaded")(response) if is_lost else response


def impatient(options: ClientOptions) -> Callable[[GRPOTrainingConfig], RewardClient]:
    """Makes clients that ask once."""
    return lambda config: RewardClient(config.reward_url, None, options, RetryPolicy(retries=0))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Those of a checkpoint."""
    return load_file(folder / "adapter_model.safetensors")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits a second for an answer, and has an optimizer that never rests: momentum and decay."""
    import trainer.grpo.run
    import trainer.runs.arguments

    real = trainer.runs.arguments.grpo_arguments

    def decaying(config: GRPOTrainingConfig, hardware: Hardware) -> "GRPOConfig":
        arguments = real(config, hardware)
        arguments.weight_decay = 0.5
        return arguments

    monkeypatch.setattr(trainer.runs.arguments, "grpo_arguments", decaying)
    monkeypatch.setattr(trainer.grpo.run, "connect", impatient(ClientOptions(margin_s=0.0)))


@pytest.mark.usefixtures("_impatient")
class TestLostBatch:
    """A whole batch without rewards."""

    @pytest.mark.parametrize("name", REPLIES)
    def test_changes_no_weight_and_ends_the_run(
        self,
        lossy_settings: Settings,
        seen: list[list[float]],
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its step is not made; the checkpoint to go on from has the weights of the step before."""
        before: list[dict[str, torch.Tensor]] = []
        real = RewindCallback.save

        def watched(self: RewindCallback, trainer: "GRPOTrainer") -> Path | None:
            before.append(weights(Path(trainer.args.output_dir) / "checkpoint-2"))
            return real(self, trainer)

        monkeypatch.setattr(RewindCallback, "save", watched)
        service = SmallService(yes_is_better)
        with running(service) as url:
            service.is_gone_after, service.reply = 3, REPLIES[name]
            config = lossy_settings(url, save_steps=1, save_total_limit=3, reward_timeout_s=1.0)
            with pytest.raises(TrainingStopped, match=r"resume_from_checkpoint=.*checkpoint-2$"):
                train_grpo(config)
        output = Path(config.output_dir)
        first, second = weights(output / "checkpoint-1"), weights(output / "checkpoint-2")
        assert len(seen) == 2
        assert not (output / "checkpoint-3").exists()
        assert any(not torch.equal(first[key], second[key]) for key in first)
        assert all(torch.equal(before[0][key], second[key]) for key in second)

    def test_of_which_every_item_failed(self, lossy_settings: Settings) -> None:
        """The service is there, and the run goes on; the next batch is learnt from again."""
        lost = (frozenset[int](), frozenset(range(BATCH)), frozenset[int]())
        with running(SmallService(Lossy(lost))) as url:
            config = lossy_settings(url, save_steps=1, save_total_limit=3, max_steps=3)
            train_grpo(config)
        output = Path(config.output_dir)
        before, after, later = (weights(output / f"checkpoint-{step}") for step in (1, 2, 3))
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert any(not torch.equal(after[key], later[key]) for key in after)


def test_every_failure_of_a_rollout_is_tried() -> None:
    """A new kind of failure has to be put on the list."""
    from shared.errors import RolloutError

    def tree(root: type[GreenforkError]) -> set[str]:
        return {root.code}.union(*(tree(kind) for kind in root.__subclasses__()))

    assert tree(RolloutError) <= set(CODES)
