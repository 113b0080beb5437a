"""``greenfork control``: whole episodes under controllers, side by side, and how they compare."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from greenfork.commands.options import ApiKey, fields_of, secret
from greenfork.control.choosing import Choice
from greenfork.control.curves import curves_as_json
from greenfork.control.endpoint import KEY_VARIABLE, Endpoint, EndpointReport
from greenfork.control.files import TripsFormat, check_format, write_files
from greenfork.control.plots import check_plots, draw_plots
from greenfork.control.summaries import episode_as_json, summary_as_json, summary_of
from greenfork.control.tables import print_comparison, print_endpoint
from greenfork.progress import progress_bar
from greenfork.screen import say
from shared.errors import ConfigError
from shared.files import os_errors

if TYPE_CHECKING:
    from greenfork.control.sites import Site
    from sim_workers.controllers.control_run import ControlRun
    from trainer.evaluation import Generation

__all__ = ["EXAMPLES", "control"]

EXAMPLES = """Examples:

greenfork control resco:cologne1 --controller fixed --controller greedy --seeds 10

greenfork control my.sumocfg --controller look-ahead --protocol program --trips runs/ --plot plots/

greenfork control resco:cologne1 --model runs/grpo/adapter --controller greedy

greenfork control resco:cologne1 --endpoint http://127.0.0.1:8000/v1 --endpoint-model my-model

greenfork control my.sumocfg --controller replay:runs/greedy-seed1.record.jsonl --seeds 1

greenfork control crossing --url http://127.0.0.1:8000 --controller greedy --protocol program
"""

_Controllers = Annotated[
    list[str] | None,
    typer.Option(
        "--controller",
        help="fixed, actuated, delay-based, random, longest-queue, greedy, max-pressure, sotl, "
        "look-ahead, model, endpoint, or replay:FILE with a record that --trips wrote. Repeatable; "
        "--model and --endpoint need no --controller.",
    ),
]
_ServiceUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Run the episodes at this reward service, e.g. http://127.0.0.1:8000; SCENARIO is "
        "then the id or name of a scenario there.",
    ),
]
_Scenario = Annotated[
    str,
    typer.Argument(help="Path of a .sumocfg, or resco:<network>; with --url its id or name."),
]
_Protocol = Annotated[
    Literal["resco", "program", "sumo-rl"],
    typer.Option(
        help="resco: any green every 10 s, 3 s of yellow; sumo-rl: every 5 s, 2 s of yellow; "
        "program: extend or end greens in the program's order, every 5 s.",
        case_sensitive=False,
    ),
]
_Horizon = Annotated[
    int, typer.Option(min=1, max=3600, help="Length of look-ahead's rollouts, seconds.")
]
_Passes = Annotated[int, typer.Option(min=1, max=10, help="Look-ahead's rounds over the signals.")]
_Base = Annotated[
    Literal["greedy", "longest_queue", "max_pressure", "keep"],
    typer.Option(help="Who decides after the first step of look-ahead's rollouts."),
]
_Budget = Annotated[
    int | None,
    typer.Option(
        min=1, help="Look-ahead's maximum rollouts per step; the busiest signals come first."
    ),
]
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="Folder with a model or adapter, or smollm2-135m, that decides. Repeatable."
    ),
]
_EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        help="OpenAI-compatible API of a model that decides, e.g. http://127.0.0.1:8000/v1. Its "
        "key is taken from GREENFORK_ENDPOINT_KEY.",
    ),
]
_EndpointModel = Annotated[
    str | None, typer.Option("--endpoint-model", help="The model's name at the endpoint.")
]
_Concurrency = Annotated[
    int, typer.Option("--endpoint-concurrency", min=1, max=1024, help="Requests at a time.")
]
_EndpointTimeout = Annotated[
    float, typer.Option("--endpoint-timeout", min=0.1, help="Seconds for each request.")
]
_MaxNewTokens = Annotated[int, typer.Option(min=1, help="Maximum length of a model's answer.")]
_Temperature = Annotated[
    float, typer.Option(min=0, max=10, help="Sampling temperature of models; 0 is greedy.")
]
_BatchSize = Annotated[int, typer.Option(min=1, help="Prompts per forward pass of a --model.")]
_PromptForm = Annotated[
    Literal["json", "words"], typer.Option(help="Prompt format of a --model, as in training.")
]
_PromptExamples = Annotated[
    bool, typer.Option("--prompt-examples", help="Two answered examples first, as in training.")
]
_ModelBase = Annotated[
    str | None, typer.Option("--model-base", help="Base model of the adapters, if it has moved.")
]
_Trips = Annotated[
    Path | None,
    typer.Option(help="Folder for each episode's trips, actions and record (JSON lines)."),
]
_Plot = Annotated[
    Path | None, typer.Option(help="Folder for plots of queue, delay, switches and greens (PNG).")
]
_TripsFormat = Annotated[TripsFormat, typer.Option("--trips-format", help="Format of the trips.")]
_End = Annotated[
    float | None,
    typer.Option(
        "--end", help="End of each episode, seconds of simulated time. Default: after an hour."
    ),
]
_Lanes = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Simulations side by side. Default: one per CPU."),
]


def control(
    context: typer.Context,
    scenario: _Scenario,
    controller: _Controllers = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs the seeds from 1 on.")] = 5,
    protocol: _Protocol = "resco",
    horizon: _Horizon = 60,
    base: _Base = "greedy",
    passes: _Passes = 1,
    budget: _Budget = None,
    models: _Models = None,
    endpoint: _EndpointUrl = None,
    endpoint_model: _EndpointModel = None,
    concurrency: _Concurrency = 16,
    timeout_s: _EndpointTimeout = 60,
    max_new_tokens: _MaxNewTokens = 50,
    temperature: _Temperature = 0,
    batch_size: _BatchSize = 32,
    prompt_form: _PromptForm = "json",
    has_examples: _PromptExamples = False,
    base_path: _ModelBase = None,
    workers: _Lanes = None,
    end: _End = None,
    trips: _Trips = None,
    trips_format: _TripsFormat = "csv",
    plot: _Plot = None,
    url: _ServiceUrl = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run whole episodes under controllers and compare them.

    Every controller drives the same scenario under the same seeds. An episode that fails is listed,
    and the exit status is then 1.
    """
    check_format(trips_format)
    if plot is not None:
        check_plots()
    lanes = workers or len(os.sched_getaffinity(0))
    choice = _choice(context, endpoint_model, at_once=max(1, lanes // min(lanes, seeds)))
    with _site(context, lanes) as site:
        runs, report = _run(site, choice, is_hidden=as_json)
    _save(runs, trips, trips_format)
    if plot is not None:
        with os_errors(ConfigError, f"cannot write --plot {plot}"):
            draw_plots(plot, f"{site.name}, protocol {protocol}", runs)
    (_print_json if as_json else _print_tables)(site, runs, report)
    raise typer.Exit(1 if any(run.error for run in runs) else 0)


@contextmanager
def _site(context: typer.Context, lanes: int) -> "Iterator[Site]":
    """Where the scenario runs; says what a service does otherwise."""
    from greenfork.control.sites import Asked, LocalSite, remote_site

    given = context.params
    seeds = tuple(range(1, given["seeds"] + 1))
    asked = Asked(given["scenario"], given["protocol"], seeds, lanes, given["end"])
    if given["url"] is None:
        yield LocalSite(asked)
        return
    with remote_site(asked, given["url"], secret(given["api_key"])) as site:
        if site.protocol.arguments:
            left_out = " ".join(site.protocol.arguments)
            say(f"protocol {asked.protocol}: with --url, SUMO's {left_out} are not set", err=True)
        yield site


def _run(
    site: "Site", choice: Choice, is_hidden: bool
) -> "tuple[list[ControlRun], EndpointReport | None]":
    """Runs every episode, and says how an endpoint did."""
    with choice.opened(site.protocol.control) as chosen:
        episodes = len(chosen.controllers) * len(site.asked.seeds)
        what, total = f"{site.name}: {episodes} episodes", round(site.length_s * episodes)
        with progress_bar(what, total=total, is_hidden=is_hidden) as update:
            runs = site.run(chosen.controllers, lambda seconds: update(advance=seconds))
        report = chosen.endpoint.report() if chosen.endpoint else None
    return runs, report


def _save(runs: "Sequence[ControlRun]", trips: Path | None, form: TripsFormat) -> None:
    if trips is not None:
        with os_errors(ConfigError, f"cannot write --trips {trips}"):
            for run in runs:
                write_files(trips, run, form)


def _choice(context: typer.Context, endpoint_model: str | None, at_once: int) -> Choice:
    """What decides, by the options of the command."""
    from sim_workers.controllers.look_ahead import LookAheadSettings

    given = context.params
    url = given["endpoint"]
    if url is not None and not endpoint_model:
        raise ConfigError("--endpoint needs --endpoint-model, the model's name there")
    key = secret(os.environ.get(KEY_VARIABLE))
    endpoint = None
    if url is not None:
        endpoint = fields_of(Endpoint, given, url=url, model=endpoint_model, key=key)
    choice = Choice(
        names=tuple(dict.fromkeys(given["controller"] or ())),
        models=tuple(dict.fromkeys(given["models"] or ())),
        endpoint=endpoint,
        generation=_generation(given) if given["models"] else None,
        look_ahead=fields_of(LookAheadSettings, given, horizon_s=given["horizon"], at_once=at_once),
    )
    choice.check()
    return choice


def _generation(given: Mapping[str, Any]) -> "Generation":
    from trainer.evaluation import Generation

    return fields_of(Generation, given)


def _print_json(site: "Site", runs: "Sequence[ControlRun]", report: EndpointReport | None) -> None:
    from greenfork.output import print_json
    from sim_workers.controllers.control_run import by_controller

    print_json(
        {
            "scenario": site.name,
            "scenario_id": site.scenario_id,
            "protocol": site.asked.protocol,
            "control": site.protocol.control.model_dump(mode="json"),
            "arguments": list(site.arguments),
            "controllers": [
                {
                    "name": name,
                    **summary_as_json(summary_of(of_one)),
                    "curves": curves_as_json(of_one),
                    "episodes": [episode_as_json(run) for run in of_one],
                }
                for name, of_one in by_controller(runs).items()
            ],
            "endpoint": asdict(report) if report else None,
        }
    )


def _print_tables(
    site: "Site", runs: "Sequence[ControlRun]", report: EndpointReport | None
) -> None:
    seeds = len(site.asked.seeds)
    print_comparison(
        f"{site.name}, protocol {site.asked.protocol}, {seeds} seed{'s' * (seeds > 1)}", runs
    )
    if report:
        print_endpoint(report)
