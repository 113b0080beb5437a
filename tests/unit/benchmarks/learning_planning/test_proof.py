"""What the proof of learning to plan runs, claims and shows. Nothing is really run."""

from pathlib import Path

import pytest

from benchmarks.learning_planning.claims import plan_claims
from benchmarks.learning_planning.plan import FULL
from benchmarks.learning_planning.program import Judged
from benchmarks.learning_planning.tables import plans_table
from benchmarks.learning_planning.trainings import PlanTrainings
from planning.generators import DOMAINS, domain_text, generators
from planning.records import ProblemRecord, Split, problem_id_of
from trainer.evaluation.planning.figures import Interval, PlanComparison, PlanFigures
from trainer.evaluation.planning.plans import PlanEvaluation, PlanPolicyReport
from trainer.grpo.config import load_config
from trainer.settings import load_settings
from trainer.sft.config import SFTTrainingConfig


def _report(
    name: str, success: float, gain: tuple[float, float, float] | None = None
) -> PlanPolicyReport:
    figures = PlanFigures(
        problems=9,
        success=Interval(value=success, low=success - 0.02, high=success + 0.02),
        goals=None,
        answers=9,
        invalid=0,
        failed=0,
    )
    against = None
    if gain is not None:
        value, low, high = gain
        interval = Interval(value=value, low=low, high=high)
        against = PlanComparison(policy="start", problems=9, success=interval, goals=interval)
    return PlanPolicyReport(
        policy=name,
        overall=figures,
        by_domain={"ferry": figures},
        by_difficulty={},
        against=against,
    )


def _evaluation(*reports: PlanPolicyReport) -> PlanEvaluation:
    return PlanEvaluation(dataset="d", split="eval", problems=9, policies=reports)


BASELINES = _evaluation(_report("planner", 1.0), _report("random-walk", 0.06))
MODELS = {
    1: Judged(
        sampled=_evaluation(
            _report("runs/start-1/model", 0.2),
            _report("runs/curriculum-1/model", 0.5, (0.3, 0.25, 0.35)),
            _report("runs/plain-1/model", 0.21, (0.01, -0.02, 0.04)),
        ),
        greedy=_evaluation(
            _report("runs/start-1/model", 0.4),
            _report("runs/curriculum-1/model", 0.41, (0.01, -0.01, 0.03)),
            _report("runs/plain-1/model", 0.4, (0, -0.02, 0.02)),
        ),
    )
}


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """Two ferry problems to train on, and one held out, of the size of one of them."""
    lines, generator = [], generators()["ferry"]
    (tmp_path / "ferry").mkdir()
    (tmp_path / "ferry" / "domain.pddl").write_text(domain_text("ferry"))
    cases: list[tuple[tuple[int, int], int, Split]] = [
        ((3, 2), 1, "train"),
        ((4, 2), 2, "train"),
        ((4, 2), 3, "eval"),
    ]
    for size, seed, split in cases:
        problem = generator.problem(size, seed)
        file = f"ferry/{problem.name}.pddl"
        (tmp_path / file).write_text(problem.text)
        record = ProblemRecord(
            problem_id=problem_id_of(problem.name, domain_text("ferry"), problem.text),
            name=problem.name,
            pddl_domain="ferry",
            problem_file=file,
            difficulty=1,
            split=split,
        )
        lines.append(record.model_dump_json())
    (tmp_path / "problems.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_each_claim_is_held_against_its_figure(problems: Path) -> None:
    """Sizes apart, enough steps, a walk that fails; and a gain whose interval is above 0."""
    claims = plan_claims(problems, BASELINES, MODELS)
    assert [(one.policy, one.found, one.is_reached) for one in claims] == [
        ("problems", 4, False),
        ("problems", 1, False),
        ("random-walk", 0.06, False),
        ("curriculum-1", 0.25, True),
        ("curriculum-1", 0, True),
        ("plain-1", -0.02, False),
        ("plain-1", 0, True),
    ]


def test_the_table_has_a_row_a_policy() -> None:
    """With the name of its training, and its gain by sampled and by greedy plans."""
    lines = plans_table(BASELINES, MODELS).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        *("planner", "random-walk", "start-1", "curriculum-1", "plain-1")
    ]
    assert "| 50% [48%, 52%] | +30% [+25%, +35%] | 41% [39%, 43%] | +1% [-1%, +3%] |" in lines[5]


def test_both_runs_of_a_seed_differ_in_the_curriculum_alone(tmp_path: Path) -> None:
    """The same start, budget and seed; all settings are ones that the trainings have."""
    trainings = PlanTrainings(FULL, tmp_path)
    names = [command.name for command in (*trainings.starts(), *trainings.compared("u"))]
    assert names == [
        *("start-1", "start-2", "start-3", "curriculum-1", "plain-1"),
        *("curriculum-2", "plain-2", "curriculum-3", "plain-3"),
    ]
    curriculum, plain, *_ = trainings.compared("u")
    differing = set(curriculum.arguments) ^ set(plain.arguments)
    assert differing == {
        *(str(tmp_path / "curriculum-1"), "curriculum=true"),
        *(str(tmp_path / "plain-1"), "curriculum=false"),
    }
    assert str(tmp_path / "start-1" / "model") in curriculum.arguments


def test_presets_and_settings_of_the_proof_are_valid() -> None:
    """A step holds as many prompts of each domain."""
    start = dict(setting.split("=") for setting in FULL.start)
    assert load_settings(SFTTrainingConfig, "planning-start", {"dataset_path": "d", **start}).is_new
    grpo = dict(setting.split("=") for setting in FULL.grpo)
    config = load_config("planning", {"dataset_path": "d", **grpo})
    assert config.batch_size // config.num_generations % len(FULL.domains) == 0
    assert set(FULL.domains) <= set(DOMAINS)
