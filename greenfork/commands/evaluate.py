"""``greenfork evaluate``: how good the decisions of models and of rules are."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from greenfork.commands import evaluate_plans
from greenfork.commands.options import ApiKey, TermChoice, fields_of, secret
from greenfork.output import print_json
from greenfork.screen import screen
from shared.errors import ConfigError
from shared.files import os_errors

if TYPE_CHECKING:
    from reward_client import RewardClient
    from trainer.evaluation import Evaluation, EvaluationPlan
    from trainer.evaluation.baselines import BaselineName

    _Connect = Callable[[], RewardClient]

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = """Examples:

greenfork evaluate --dataset datasets/crossing

greenfork evaluate --dataset datasets/cologne1-held-out --split all --model runs/grpo/adapter
--baseline longest-queue --baseline oracle --by difficulty --plot evaluation.png

greenfork evaluate --dataset datasets/held-out --split all --model runs/sft/model
--model runs/grpo/model --against runs/sft/model

greenfork evaluate --dataset datasets/crossing --reward queue_gain --url http://127.0.0.1:8000
"""


_BaselineChoice = StrEnum(
    "_BaselineChoice",
    "all always-yes always-no random longest-queue most-vehicles max-pressure oracle",
)
_GroupChoice = StrEnum("_GroupChoice", "domain difficulty")

_Dataset = Annotated[
    list[Path],
    typer.Option("--dataset", help="Dataset folder, preferably with --outcomes; repeatable."),
]
_Split = Annotated[
    Literal["eval", "train", "all"], typer.Option(help="Rows to use.", case_sensitive=False)
]
_Model = Annotated[
    list[str] | None,
    typer.Option("--model", help="Folder with a model or adapter, or smollm2-135m; repeatable."),
]
_Baseline = Annotated[
    list[_BaselineChoice] | None,
    typer.Option(
        help="Policy without a model; repeatable. Default without --model: all.",
        case_sensitive=False,
    ),
]
_Reward = Annotated[
    TermChoice,
    typer.Option(help="Reward that decisions are judged by.", case_sensitive=False),
]
_Horizon = Annotated[
    int | None,
    typer.Option(
        "--horizon", min=1, max=3600, help="Seconds to judge them over. Default: the datasets'."
    ),
]
_Url = Annotated[
    str | None,
    typer.Option(help="Reward service URL, used when stored outcomes are not sufficient."),
]
_Temperature = Annotated[
    float,
    typer.Option(min=0, max=10, help="Sampling temperature; 0 takes the likeliest token."),
]
_Samples = Annotated[
    int,
    typer.Option(min=1, max=256, help="Answers per prompt; more than one needs a temperature."),
]
_PromptExamples = Annotated[
    bool,
    typer.Option(
        "--prompt-examples",
        help="Put two answered examples before the question, as in training.",
    ),
]
_Base = Annotated[
    str | None,
    typer.Option("--base", help="Base model of the adapters, if it has moved."),
]
_PromptForm = Annotated[
    Literal["json", "words"],
    typer.Option(help="Prompt format, as in training.", case_sensitive=False),
]
_MaxPoints = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of decision points, evenly spread.")
]
_MinGap = Annotated[
    float,
    typer.Option(
        "--min-gap", min=0, help="A point is clear if queues differ by more vehicles than this."
    ),
]
_Resamples = Annotated[
    int, typer.Option(min=100, help="Bootstrap resamples of the runs, for the intervals.")
]
_Seed = Annotated[
    int, typer.Option(min=0, help="Seed of the resampling, of sampled answers and of random.")
]
_Against = Annotated[
    str | None,
    typer.Option(help="Compare the other policies with this one, given by name or path."),
]
_By = Annotated[
    list[_GroupChoice] | None,
    typer.Option(help="Also show groups of points; repeatable.", case_sensitive=False),
]
_Examples = Annotated[
    list[str] | None,
    typer.Option(
        help="Solved points to show before each question: none, random, nearest or pointer:FOLDER; "
        "repeatable. Default: none."
    ),
]
_ExamplesFrom = Annotated[
    Path | None, typer.Option(help="The folder of dataset examples that they are chosen from.")
]
_ByLikelihood = Annotated[
    bool,
    typer.Option(
        "--by-likelihood",
        help="Decide extend by which answer is likelier, instead of generating one.",
    ),
]
_Plot = Annotated[Path | None, typer.Option(help="Write a plot of the policies to this PNG file.")]


def evaluate(
    context: typer.Context,
    datasets: _Dataset,
    split: _Split = "eval",
    models: _Model = None,
    baseline: _Baseline = None,
    reward: _Reward = "queue",
    horizon_s: _Horizon = None,
    url: _Url = None,
    api_key: ApiKey = None,
    temperature: _Temperature = 0,
    samples: _Samples = 1,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum answer length, tokens.")] = 50,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts per forward pass.")] = 32,
    has_examples: _PromptExamples = False,
    base_path: _Base = None,
    prompt_form: _PromptForm = "json",
    max_points: _MaxPoints = None,
    min_gap_veh: _MinGap = 0.1,
    resamples: _Resamples = 2000,
    seed: _Seed = 0,
    against: _Against = None,
    by: _By = None,
    examples: _Examples = None,
    examples_from: _ExamplesFrom = None,
    by_likelihood: _ByLikelihood = False,
    plot: _Plot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare decisions with the best known ones, on held-out decision points.

    Regret is what a decision loses against the best one; the oracle's is 0. Intervals are over
    simulation runs. If rollouts fail, their points are listed and the exit status is 1.

    On planning problems: success and the share of goals, of models, the planner (oracle) and legal
    walks (random), judged by the service at --url; intervals are over problems.
    """
    _check_answers(samples, temperature, has_examples, prompt_form)
    _check_plot(plot)
    chosen = baseline or ([] if models else [_BaselineChoice("all")])
    connect = None if url is None else _connecting(url, api_key)
    typed = {"datasets": tuple(datasets), "by": [one.value for one in by or []], "plot": plot}
    run = _evaluate_plans if evaluate_plans.is_planning(datasets) else _evaluate_points
    raise typer.Exit(1 if run(context.params | typed, chosen, connect) else 0)


def _evaluate_plans(
    given: Mapping[str, Any], chosen: list[_BaselineChoice], connect: "_Connect | None"
) -> bool:
    """Judges plans of planning problems, and tells whether any could not be judged."""
    from trainer.evaluation import Bootstrap, Generation

    names = ("oracle", "random") if "all" in chosen else tuple(one.value for one in chosen)
    plans = evaluate_plans.evaluated_plans(
        given["datasets"][0],
        given["split"],
        given["models"] or [],
        names,
        connect,
        fields_of(Generation, given),
        fields_of(Bootstrap, given),
        given["max_points"],
        given["against"],
    )
    evaluate_plans.show_plans(plans, given["by"], given["as_json"])
    return bool(plans.failed)


def _evaluate_points(
    given: Mapping[str, Any], chosen: list[_BaselineChoice], connect: "_Connect | None"
) -> bool:
    """Judges decisions at signals, and tells whether rollouts failed."""
    from trainer.evaluation import Bootstrap, EvaluationPlan, Generation

    plan = fields_of(
        EvaluationPlan,
        given,
        baselines=_baselines(chosen),
        connect=connect,
        generation=fields_of(Generation, given),
        bootstrap=fields_of(Bootstrap, given),
    )
    evaluation = _evaluated(plan)
    if given["plot"] is not None:
        _draw(evaluation, given["plot"])
    _show(evaluation, given["by"], given["as_json"])
    return bool(evaluation.failed)


def _check_answers(samples: int, temperature: float, has_examples: bool, prompt_form: str) -> None:
    if samples > 1 and temperature == 0:
        raise ConfigError(
            "--samples above 1 needs a --temperature above 0; otherwise all samples are the same"
        )
    if has_examples and prompt_form == "words":
        raise ConfigError("--prompt-examples are in JSON and need --prompt-form json")


def _check_plot(plot: Path | None) -> None:
    if plot is not None and plot.suffix != ".png":
        raise ConfigError(f"--plot {plot}: the plot is a PNG; use a name that ends in .png")


def _show(evaluation: "Evaluation", by: list[str], as_json: bool) -> None:
    if as_json:
        print_json(evaluation.model_dump(mode="json"))
    else:
        from greenfork.commands.evaluation_tables import print_evaluation

        print_evaluation(evaluation, by)


def _baselines(chosen: list[_BaselineChoice]) -> "tuple[BaselineName, ...] | None":
    """Each once, in the order given; None for all that there are."""
    if "all" in chosen:
        return None
    from trainer.evaluation.baselines import BASELINES

    names = [one.value for one in chosen]
    return tuple(sorted((one for one in BASELINES if one in names), key=names.index))


def _connecting(url: str, api_key: str | None) -> "_Connect":
    from reward_client import RewardClient

    return lambda: RewardClient(url, secret(api_key))


def _evaluated(plan: "EvaluationPlan") -> "Evaluation":
    """Evaluates with a bar a policy on standard error, where that is a terminal."""
    from rich.markup import escape
    from rich.progress import Progress, TaskID

    from trainer.evaluation import evaluate as run

    console = screen(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what), total=of)
            bars.update(tasks[what], completed=done)

        return run(plan, show)


def _draw(evaluation: "Evaluation", target: Path) -> None:
    from trainer.plots import plot_evaluation

    with os_errors(ConfigError, f"cannot write --plot {target}"):
        plot_evaluation(evaluation, target)
