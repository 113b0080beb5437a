"""``greenfork evaluate`` on planning problems."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from greenfork.output import print_json
from greenfork.screen import screen
from shared.errors import ConfigError

if TYPE_CHECKING:
    from reward_client import RewardClient
    from trainer.evaluation import Bootstrap, Generation
    from trainer.evaluation.planning import (
        Answerer,
        Interval,
        PlanEvaluation,
        PlanFigures,
        PlanProblem,
    )

__all__ = ["evaluated_plans", "is_planning", "show_plans"]

PLANNER, WALK = "planner", "random-walk"
_NAMES = {"oracle": PLANNER, "random": WALK}
"""What tables call the baselines."""
_WALK_LIMIT = 60
_WALK_TIMES = 2
"""A walk may be as much longer than the reference plan."""


def is_planning(datasets: Sequence[Path]) -> bool:
    """Whether planning problems are evaluated.

    Raises:
        ConfigError: They stand beside other datasets.
    """
    marked = [(root / "planning.json").is_file() for root in datasets]
    if any(marked) and len(datasets) > 1:
        raise ConfigError("evaluate one planning dataset at a time")
    return any(marked)


def evaluated_plans(
    dataset: Path,
    split: str,
    models: Sequence[str],
    baselines: Sequence[str],
    connect: "Callable[[], RewardClient] | None",
    generation: "Generation",
    bootstrap: "Bootstrap",
    max_points: int | None,
    against: str | None = None,
) -> "PlanEvaluation":
    """Judges models and baselines: ``oracle`` is the planner, ``random`` a legal walk.

    Args:
        dataset: A planning dataset.
        split: Which of its rows.
        models: Folders.
        baselines: ``oracle``, ``random``; others are passed over.
        connect: Makes a client of the service that judges.
        generation: How models answer.
        bootstrap: How intervals are made.
        max_points: Most problems, evenly spread.
        against: The policy that the others are compared with: a model's folder, or a baseline.

    Raises:
        ConfigError: There is no service to judge plans, or nothing to judge.
        GreenforkError: What was asked for cannot be had.
    """
    from trainer.evaluation.planning import evaluate_plans, read_plan_problems, reference_plans

    if connect is None:
        raise ConfigError("plans are judged by a reward service: pass its --url")
    problems = read_plan_problems(dataset, split)
    if max_points is not None and len(problems) > max_points:
        problems = [problems[n * len(problems) // max_points] for n in range(max_points)]
    policies: dict[str, Answerer] = {}
    if "oracle" in baselines:
        policies[PLANNER] = reference_plans
    if "random" in baselines:
        policies[WALK] = lambda asked: _walks(dataset, asked, generation.seed)
    for path in models:
        policies[path] = _model(path, generation)
    if not policies:
        raise ConfigError("nothing to evaluate: pass --model, or --baseline oracle or random")
    beside = None if against is None else _NAMES.get(against, against)
    return evaluate_plans(dataset, split, problems, policies, connect, bootstrap, beside)


def show_plans(evaluation: "PlanEvaluation", by: Sequence[str], as_json: bool) -> None:
    """Prints the figures of every policy."""
    if as_json:
        print_json(evaluation.model_dump(mode="json"))
        return
    from rich.table import Table

    title = f"{evaluation.problems} problems of {evaluation.dataset}, {evaluation.split}"
    table = Table(title=title, title_justify="left")
    is_compared = any(policy.against for policy in evaluation.policies)
    headings = ["policy", "group", "problems", "success", "goals", "length", "invalid", "failed"]
    for heading in [*headings, *(["success against"] if is_compared else [])]:
        table.add_column(heading, justify="left" if heading in {"policy", "group"} else "right")
    for policy in evaluation.policies:
        beside = (_shown(policy.against.success),) if policy.against else ()
        table.add_row(policy.policy, "all", *_cells(policy.overall), *beside)
        groups: Mapping[str, Mapping[str, PlanFigures]] = {
            "domain": policy.by_domain,
            "difficulty": policy.by_difficulty,
        }
        for name in by:
            for group, figures in groups[name].items():
                table.add_row("", group, *_cells(figures))
        table.add_section()
    screen().print(table)


def _cells(figures: "PlanFigures") -> list[str]:
    length = figures.length
    return [
        str(figures.problems),
        _shown(figures.success),
        _shown(figures.goals),
        "-" if length is None else f"{length.value:.2f} [{length.low:.2f}, {length.high:.2f}]",
        f"{figures.invalid} of {figures.answers}",
        str(figures.failed),
    ]


def _shown(one: "Interval | None") -> str:
    if one is None:
        return "-"
    return f"{100 * one.value:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def _walks(dataset: Path, problems: "Sequence[PlanProblem]", seed: int) -> list[tuple[str]]:
    from planning.judge import Judge
    from planning.records import read_problems
    from shared.language.plans import plan_text

    texts = {one.record.problem_id: one for one in read_problems(dataset)}
    walks: list[tuple[str]] = []
    with Judge() as judge:
        for number, problem in enumerate(problems):
            text = texts[problem.problem_id]
            steps = len(text.record.plan or ()) * _WALK_TIMES or _WALK_LIMIT
            walk = judge.walk(text.domain, text.problem, seed * 1_000_003 + number, steps)
            walks.append((plan_text(walk),))
    return walks


def _model(path: str, generation: "Generation") -> "Answerer":
    def answer(problems: "Sequence[PlanProblem]") -> list[list[str]]:
        from shared.dataset import Message
        from trainer.evaluation.generating import TextGenerator

        prompts = [
            [Message.model_validate(dict(message)) for message in problem.prompt]
            for problem in problems
        ]
        return TextGenerator.load(path, generation).samples(prompts)

    return answer
