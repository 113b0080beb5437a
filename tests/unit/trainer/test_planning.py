"""Planning rows in trainings and evaluations, without a service."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenfork.commands.evaluate_plans import evaluated_plans
from shared.errors import ConfigError, DatasetError
from shared.rewards import DomainMetrics, RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, DomainItem, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from trainer.curriculum import buckets_of
from trainer.curriculum.plan import with_groups
from trainer.curriculum.sources import dataset_samples
from trainer.data.prompts import load_grpo_dataset
from trainer.evaluation import Bootstrap, Generation
from trainer.evaluation.generating import TextGenerator
from trainer.evaluation.planning import evaluate_plans, read_plan_problems, reference_plans
from trainer.grpo.batch_scorer import ScoredBatch, ScoringTerms
from trainer.grpo.config import load_config
from trainer.grpo.format_reward import format_reward
from trainer.grpo.plan_metrics import plan_metrics
from trainer.grpo.reward_functions import batch_of
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.plans import plan_lessons


def _row(domain: str, number: int, **more: object) -> dict[str, object]:
    return {
        "prompt": [{"role": "user", "content": f"{domain} {number}"}],
        "domain": "planning",
        "problem_id": f"{domain}-{number}-abc",
        "problem_file": f"{domain}/p{number}.pddl",
        "difficulty": float(number),
        "plan": f"(go a{number})",
        "plan_steps": 2,
        **more,
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two domains of five problems each."""
    rows = [_row(domain, number) for domain in ("ferry", "spanner") for number in range(5)]
    for split in ("train", "eval"):
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    (tmp_path / "planning.json").write_text("{}")
    return tmp_path


def test_completions_become_items_of_their_domain(dataset: Path) -> None:
    """With the problem's id, whole, and in groups as those of traffic."""
    rows = load_grpo_dataset(dataset).to_list()[:2]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    batch = batch_of(["(go a0)", "no"], columns)
    terms = ScoringTerms(RewardSpec(name="plan_valid"), 30, group_size=1, run="r")
    items = batch.items(terms, 1)
    assert [item.model_dump(exclude={"id"}) for item in items] == [
        {
            "group_id": f"r/1/{number}",
            "domain": "planning",
            "problem_id": f"ferry-{number}-abc",
            "completion": text,
        }
        for number, text in enumerate(("(go a0)", "no"))
    ]


def test_the_curriculum_reads_the_domains_of_planning(dataset: Path) -> None:
    """By the folders of the problems, with the difficulties of the rows."""
    buckets = buckets_of(dataset_samples(load_grpo_dataset(dataset)))
    assert [(bucket.domain, bucket.sizes) for bucket in buckets] == [
        (domain, {"easy": 2, "medium": 2, "hard": 1}) for domain in ("ferry", "spanner")
    ]


def test_a_row_without_its_problem_is_named(tmp_path: Path) -> None:
    """With the file and the number of the row."""
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(_row("ferry", 1, problem_id=None)))
    with pytest.raises(DatasetError, match=r"row 1: missing column\(s\) problem_id"):
        load_grpo_dataset(file)


def test_the_format_of_a_plan() -> None:
    """Steps alone, within other text, or none."""
    texts = ("(go a)\n(go b)", "Well: \n(go a)", '{"extend": "yes"}')
    assert [format_reward(text, "solve") for text in texts] == [1.0, 0.0, -1.0]


def test_lessons_are_the_reference_plans(dataset: Path, tmp_path: Path) -> None:
    """Every row once before any comes up again; a row without a plan is refused."""
    config = SFTTrainingConfig(dataset_path=str(dataset), lessons=15)
    lessons = plan_lessons(config)
    assert lessons is not None
    assert len({lesson.prompt for lesson in lessons[:10]}) == 10
    assert lessons[0].answer.startswith("(go a")
    (dataset / "train.jsonl").write_text(json.dumps(_row("ferry", 1, plan=None)))
    with pytest.raises(DatasetError, match="build the dataset with a planner"):
        plan_lessons(config)


def test_lessons_with_shuffled_names_never_run_out(dataset: Path) -> None:
    """Objects of the problem have new numbers each time, and the same ones in its plan."""
    problem = "(:objects a1 A2 - place) (:init (at2 a1))"
    row = _row("ferry", 1, prompt=[{"role": "user", "content": problem}], plan="(go a1 a2)")
    (dataset / "train.jsonl").write_text(json.dumps(row))
    config = SFTTrainingConfig(dataset_path=str(dataset), lessons=20, shuffle_names=True)
    lessons = plan_lessons(config)
    assert lessons is not None
    assert len({lesson.answer for lesson in lessons}) > 10
    for lesson in lessons:
        _, first, second = lesson.answer.strip("()").split()
        content = lesson.prompt[-1].content
        assert content == f"(:objects {first} {second} - place) (:init (at2 {first}))"
    assert plan_lessons(config) == lessons


def test_the_preset_is_found_beside_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is no file of settings."""
    (tmp_path / "planning").mkdir()
    monkeypatch.chdir(tmp_path)
    config = load_config("planning", {"dataset_path": "x"})
    assert (config.reward_name, config.curriculum) == ("plan_progress", True)


class _Service:
    """Judges plans by what they say."""

    async def __aenter__(self) -> "_Service":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def score(
        self, items: Sequence[DomainItem], reward: RewardSpec, timeout_s: float
    ) -> ScoreResponse:
        """A right plan, a half one, none, or no verdict."""
        results = tuple(self._result(item.completion) for item in items)
        counts = Counts(scored=0, invalid=0, failed=0, cached=0, rollouts=0)
        return ScoreResponse(results=results, counts=counts, simulator=Simulator(version="0"))

    def _result(self, plan: str) -> ScoreResult:
        if plan == "lost":
            error = ErrorInfo(code="worker_lost", message="it died", retryable=True)
            return ScoreResult(id=None, status="failed", reward=None, error=error)
        if plan == "none":
            return ScoreResult(id=None, status="invalid", reward=0.0)
        is_valid = int(plan.startswith("(go"))
        goals, steps = (1.0, 3) if is_valid else (0.5, 1)
        metrics = DomainMetrics({"is_valid": is_valid, "goals_share": goals, "steps": steps})
        return ScoreResult(id=None, status="scored", reward=float(is_valid), metrics=metrics)


def test_figures_by_domain_and_difficulty(dataset: Path) -> None:
    """Success and goals; what is invalid counts as 0, and what failed is in no mean."""
    problems = read_plan_problems(dataset, "eval")
    plans = [("half",), ("none",), ("lost",), ("(go)",), ("(go)",)] * 2
    report = evaluate_plans(
        dataset,
        "eval",
        problems,
        {"planner": reference_plans, "mixed": lambda _: plans, "lost": lambda _: [("lost",)] * 10},
        lambda: _Service(),  # type: ignore[arg-type,return-value]
        Bootstrap(resamples=200),
        against="planner",
    )
    planner, mixed, lost = report.policies
    assert (lost.overall.success, lost.overall.failed) == (None, 10)
    assert planner.overall.success is not None
    assert mixed.overall.success is not None
    assert mixed.overall.goals is not None
    assert (planner.overall.success.value, planner.overall.success.low) == (1.0, 1.0)
    assert (mixed.overall.problems, mixed.overall.invalid, mixed.overall.failed) == (10, 2, 2)
    assert mixed.overall.success.value == 4 / 8
    assert mixed.overall.goals.value == (0.5 + 0 + 1 + 1) / 4
    assert mixed.overall.success.low < 0.5 < mixed.overall.success.high
    assert list(mixed.by_domain) == ["ferry", "spanner"]
    assert {name: one.problems for name, one in mixed.by_difficulty.items()} == {
        "easy": 4,
        "medium": 4,
        "hard": 2,
    }
    assert report.failed == 12
    assert planner.overall.length is not None
    assert planner.overall.length.value == 3 / 2
    assert mixed.overall.length == planner.overall.length
    assert (lost.overall.length, lost.against, planner.against) == (None, None, None)
    assert mixed.against is not None
    assert mixed.against.problems == 8
    assert mixed.against.success.value == -4 / 8
    assert mixed.against.goals.value == (0.5 + 0 + 1 + 1) / 4 - 1


def test_a_problem_counts_once_however_many_answers_it_gets(dataset: Path) -> None:
    """By their mean; those that failed are in no mean."""
    problems = read_plan_problems(dataset, "eval")[:2]
    report = evaluate_plans(
        dataset,
        "eval",
        problems,
        {
            "sampled": lambda _: [
                ("(go)", "half", "lost", "none"),
                ("(go)", "(go)", "(go)", "(go)"),
            ],
            "planner": reference_plans,
        },
        lambda: _Service(),  # type: ignore[arg-type,return-value]
        Bootstrap(resamples=200),
        against="planner",
    )
    sampled, _ = report.policies
    figures = sampled.overall
    assert (figures.problems, figures.answers) == (2, 8)
    assert (figures.invalid, figures.failed) == (1, 1)
    assert figures.success is not None
    assert figures.goals is not None
    assert figures.success.value == (1 / 3 + 1) / 2
    assert figures.goals.value == (1.5 / 3 + 1) / 2
    assert sampled.against is not None
    assert sampled.against.success.value == (1 / 3 + 1) / 2 - 1


def test_every_sampled_answer_of_a_model_is_judged(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as --samples asks for, each at its own problem."""

    class Tokenizer:
        def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> str:
            return messages[-1]["content"]

    def texts(_: TextGenerator, prompts: list[str]) -> list[list[str]]:
        return [["half", "(go)" if "ferry" in prompt else "none"] for prompt in prompts]

    loaded = SimpleNamespace(tokenizer=Tokenizer())
    monkeypatch.setattr("trainer.models.loading.load_model", lambda *_: loaded)
    monkeypatch.setattr("trainer.models.loading.pick_hardware", lambda _: None)
    monkeypatch.setattr(TextGenerator, "_texts", texts)
    report = evaluated_plans(
        dataset,
        "eval",
        ["somewhere"],
        [],
        lambda: _Service(),  # type: ignore[arg-type,return-value]
        Generation(samples=2, temperature=1.0, batch_size=3),
        Bootstrap(resamples=200),
        max_points=None,
    )
    (model,) = report.policies
    assert (model.overall.answers, model.overall.invalid) == (20, 5)
    shares = {name: one.success for name, one in model.by_domain.items()}
    assert {name: one and one.value for name, one in shares.items()} == {
        "ferry": 1 / 2,
        "spanner": 0,
    }


def test_a_policy_that_is_not_there_is_no_comparison(dataset: Path) -> None:
    """The message names those that are."""
    problems = read_plan_problems(dataset, "eval")
    with pytest.raises(ConfigError, match="--against other: it is none of planner"):
        evaluate_plans(
            dataset,
            "eval",
            problems,
            {"planner": reference_plans},
            lambda: _Service(),  # type: ignore[arg-type,return-value]
            Bootstrap(resamples=200),
            against="other",
        )


def test_metrics_of_sampled_plans() -> None:
    """Of those that were judged; an invalid answer counts as 0, and lengths are of valid ones."""
    judged = [
        ScoredBatch("scored", 1.0, metrics={"is_valid": 1, "goals_share": 1, "steps": 6}),
        ScoredBatch("scored", 0.2, metrics={"is_valid": 0, "goals_share": 0.5, "steps": 3}),
        ScoredBatch("invalid", -1.0, "no_plan"),
        ScoredBatch("failed", None, "worker_lost"),
    ]
    columns = {
        "plan_steps": [4, 4, 2, 2],
        "curriculum_domain": ["ferry", "ferry", "spanner", "spanner"],
        "curriculum_level": ["easy", "hard", "easy", "easy"],
    }
    assert plan_metrics(judged, columns) == {
        "plans/success": 1 / 3,
        "plans/goals_share": 1.5 / 3,
        "plans/executable_share": 0,
        "plans/length": 6 / 4,
        "plans/success_by_domain/ferry": 1 / 2,
        "plans/success_by_domain/spanner": 0,
        "plans/success_by_level/easy": 1 / 2,
        "plans/success_by_level/hard": 0,
    }
    assert plan_metrics(judged[2:], columns) == {}


def test_rows_of_problems_have_their_groups_without_a_curriculum(dataset: Path) -> None:
    """So that the metrics of both kinds of run can be compared."""
    rows = with_groups(load_grpo_dataset(dataset))
    assert rows["curriculum_domain"] == ["ferry"] * 5 + ["spanner"] * 5
    assert rows["curriculum_level"] == ["easy", "easy", "medium", "medium", "hard"] * 2


def test_a_dataset_without_reference_plans_has_no_planner(dataset: Path) -> None:
    """The way out is named."""
    (dataset / "eval.jsonl").write_text(json.dumps(_row("ferry", 1, plan=None)))
    with pytest.raises(ConfigError, match="leave --baseline oracle out"):
        reference_plans(read_plan_problems(dataset, "eval"))
