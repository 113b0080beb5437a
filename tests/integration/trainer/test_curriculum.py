"""GRPO over two domains from easy to hard, with a KL weight that follows the KL, and resumed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import ConfigError, TrainingStopped
from shared.wire.scoring import ScoreRequest
from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.curriculum import Curriculum, GradedSample, buckets_of
from trainer.grpo.preflight import check_run
from trainer.runs.history import read_metrics

Settings = Callable[..., GRPOTrainingConfig]

DOMAINS = {"north": 20, "south": 7}
"""Samples of each: far from equally many."""

STEPS = 8


@pytest.fixture
def two_domains(tmp_path: Path) -> Path:
    """Rows of two scenarios; a state's id ends in its difficulty in percent."""
    rows = [
        {
            "prompt": [{"role": "user", "content": "the well"}],
            "state_id": f"{domain}@{number * 100 // size:03}",
            "scenario": domain,
            "tls_id": "A",
            "decision_kind": "extend",
            "difficulty": number / size,
        }
        for domain, size in DOMAINS.items()
        for number in range(size)
    ]
    file = tmp_path / "two.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def with_curriculum(settings: Settings, two_domains: Path, tmp_path: Path) -> Settings:
    """Makes the settings of a run over both domains."""

    def make(reward_url: str, **changes: object) -> GRPOTrainingConfig:
        values: dict[str, object] = {
            "dataset_path": str(two_domains),
            "curriculum": True,
            "adaptive_kl": True,
            "kl_coeff": 0.08,
            "max_steps": STEPS,
            "gradient_accumulation_steps": 2,
            "batch_size": 8,
            "num_generations": 4,
            "learning_rate": 0.03,
        }
        return settings(reward_url, **{**values, **changes})

    return make


def _prompts(requests: list[ScoreRequest]) -> list[list[str]]:
    """The states of every step, each once per group; without what was asked to see if it works."""
    return [
        [item.state_id for item in request.of_traffic][::4]
        for request in requests
        if len(request.items) > 1
    ]


def test_a_resumed_run_is_the_same_run(with_curriculum: Settings, tmp_path: Path) -> None:
    """Killed after four of eight steps and gone on with: same batches, rewards, KL and its weight.

    The batches are those of a curriculum: two samples of each domain every time, none hard at
    first, several hard at last; and the metrics tell so.
    """
    whole, parts = SmallService(yes_is_better), SmallService(yes_is_better)
    with running(whole) as url:
        straight = train_grpo(with_curriculum(url, output_dir=str(tmp_path / "whole")))
    with running(parts) as url:
        config = with_curriculum(url, output_dir=str(tmp_path / "parts"))
        parts.is_gone_after = 1 + 4
        with pytest.raises(TrainingStopped, match="lost"):
            train_grpo(config)
        del parts.requests[1 + 4 :]
        parts.is_gone_after = None
        resume = str(tmp_path / "parts" / "checkpoint-4")
        resumed = train_grpo(config.model_copy(update={"resume_from_checkpoint": resume}))

    batches = _prompts(whole.requests)
    assert len(batches) == STEPS
    assert _prompts(parts.requests) == batches
    assert [sorted(state.partition("@")[0] for state in batch) for batch in batches] == [
        ["north", "north", "south", "south"]
    ] * STEPS

    lines = read_metrics(straight.files.metrics)
    again = read_metrics(resumed.files.metrics)
    for name in ("reward", "kl", "kl_coeff", "reward_by_domain/north", "curriculum/weight/easy"):
        assert [line.get(name) for line in again] == [line.get(name) for line in lines], name
    assert len({line["kl_coeff"] for line in lines}) > 2
    assert lines[4]["kl_coeff"] != config.kl_coeff


def test_a_checkpoint_that_knows_of_neither(with_curriculum: Settings) -> None:
    """A run without both leaves no trace of them; one with both goes on from there."""
    with running(SmallService(yes_is_better)) as url:
        off = {"curriculum": False, "adaptive_kl": False, "batch_size": 4}
        before = train_grpo(with_curriculum(url, max_steps=2, save_steps=1, **off))
        traces = [name for line in read_metrics(before.files.metrics) for name in line]
        allowed = {"resume_changes": list(off)}
        config = with_curriculum(url, max_steps=3, resume_from_checkpoint="latest", **allowed)
        after = train_grpo(config)
    assert not [name for name in traces if "curriculum" in name or "_by_" in name]
    assert "kl_coeff" not in traces
    last = read_metrics(after.files.metrics)[-1]
    assert (last["step"], last["kl_coeff"]) == (3, config.kl_coeff)
    state = json.loads((Path(config.output_dir) / "checkpoint-3/trainer_state.json").read_text())
    assert state["stateful_callbacks"]["AdaptiveKLCallback"]["attributes"]["beta"] > 0


@pytest.mark.usefixtures("pictures")
def test_passes_over_the_rows_without_max_steps(with_curriculum: Settings) -> None:
    """An epoch is as many steps as without a curriculum; the picture shows every domain."""
    with running(SmallService(yes_is_better)) as url:
        report = train_grpo(with_curriculum(url, max_steps=None, num_train_epochs=0.5))
    assert report.steps == 3
    assert report.files.plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(("num_generations", "accumulation"), [(4, 1), (2, 3)])
def test_sampler_has_the_shape_of_trls_own(
    ranks: int, num_generations: int, accumulation: int
) -> None:
    """Group by group on every rank, each step as often as it has forward passes.

    The order of the prompts aside, a rank gets what TRL's sampler would give it, and what it gets
    in a step is the same on each of the step's forward passes.
    """
    from accelerate.data_loader import BatchSamplerShard  # type: ignore[import-untyped]
    from torch.utils.data import BatchSampler, Sampler
    from trl.trainer.utils import RepeatSampler

    from trainer.curriculum.sampler import CurriculumSampler

    samples = [GradedSample(domain, number) for domain in "ab" for number in range(9)]
    per_rank = 4 * num_generations
    prompts = per_rank * ranks // num_generations
    curriculum = Curriculum(buckets_of(samples), prompts, max_steps=5)
    order = [row for batch in curriculum.batches() for row in batch]

    def of_rank(sampler: Sampler[int], rank: int) -> list[list[int]]:
        """As the trainer's loader reads it: a rank's share of a generation batch at a time."""
        batches = BatchSampler(sampler, batch_size=per_rank, drop_last=False)
        return list(BatchSamplerShard(batches, ranks, rank))

    ours = CurriculumSampler(curriculum, num_generations, repeats=accumulation)
    theirs = RepeatSampler(order, num_generations, prompts, accumulation, shuffle=False)
    assert len(ours) == len(theirs) == len(order) * num_generations * accumulation
    for rank in range(ranks):
        expected = [[order[place] for place in batch] for batch in of_rank(theirs, rank)]
        assert of_rank(ours, rank) == expected
    for step, batch in enumerate(curriculum.batches()):
        for forward in range(step * accumulation, (step + 1) * accumulation):
            read = [row for rank in range(ranks) for row in of_rank(ours, rank)[forward]]
            assert read == [row for row in batch for _ in range(num_generations)]


def test_batch_that_cannot_be_balanced(with_curriculum: Settings) -> None:
    """Refused before anything is asked of the service or loaded."""
    with pytest.raises(ConfigError, match=r"2 domains; batch_size can be 4, 8, 12, 16"):
        check_run(with_curriculum("http://127.0.0.1:9", batch_size=2))
