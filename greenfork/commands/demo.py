"""``greenfork demo``: the main job from end to end, by the commands a user would type."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from greenfork.commands.demo_service import free_port, running
from greenfork.commands.demo_tables import print_done, print_files, print_rewards
from greenfork.screen import screen
from shared.errors import InputError

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example: greenfork demo --scenario resco:ingolstadt1 --out runs/ingolstadt1"
_STEPS = 6
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""A small model gains little by a second thread, and loses much where the other core is busy."""
_console = screen()


class _Places:
    """Where the demo puts things."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dataset, self.held_out = root / "dataset", root / "held-out"
        self.decisions, self.rewards = root / "decisions.jsonl", root / "rewards.jsonl"
        self.warm_start, self.training = root / "warm-start", root / "training"
        self.evaluation, self.log = root / "evaluation.png", root / "serve.log"
        self.report = root / "report.html"


def demo(
    scenario: Annotated[
        str, typer.Option(help="A .sumocfg, or resco:NAME for a network from sumo-rl.")
    ] = "resco:cologne1",
    out: Annotated[Path, typer.Option(help="Output folder; emptied first.")] = Path("runs/demo"),
    states: Annotated[int, typer.Option(min=4, help="States to train on.")] = 240,
    held_out: Annotated[
        int, typer.Option(min=4, help="States of other runs, to evaluate on.")
    ] = 120,
    config: Annotated[str, typer.Option(help="Training settings: a preset or a file.")] = "small",
    model_path: Annotated[
        str | None,
        typer.Option(help="Folder with a model. Default: create a small one and train it first."),
    ] = None,
    lessons: Annotated[int, typer.Option(min=1, help="Lessons for the small model.")] = 10_000,
    max_steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 80,
    stay: Annotated[
        bool, typer.Option("--stay", help="Leave the service running; Ctrl-C ends it.")
    ] = False,
) -> None:
    """Build a dataset, serve it, score decisions, train through the reward URL, evaluate."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    places = _Places(out)
    _prepare(places)
    _step(1, "Build a dataset of decision points, and one of other runs to evaluate on")
    _build(places, scenario, states, held_out)
    _step(2, "Start the reward service: gateway, embedded Ray, SQLite ledger")
    url = f"http://127.0.0.1:{free_port()}"
    serve = ["serve", "--dataset", str(places.dataset), "--port", url.rpartition(":")[2]]
    serve += ["--data-dir", str(places.root / "data")]
    _say(serve)
    with running(_command(serve), url, places.log, _console):
        _step(3, "Score a file of offline decisions, twice: the second time is from the ledger")
        _write_decisions(places)
        scored = [_score(places, url) for _ in range(2)]
        _step(4, "Create a small language model, and teach it to read a junction's state")
        start = model_path or _teach(places, lessons)
        _step(5, "Train it with GRPO through the reward URL")
        trained = _train(places, url, config, start, max_steps)
        _step(6, "Evaluate it on unseen runs, before and after")
        files = trained["files"]
        _evaluate(places, start, str(files["model"] or files["adapter"]))
        _run(["report", str(places.training), "--out", str(places.report)], is_captured=True)
        print_done(_console, scored, trained)
        print_rewards(_console, trained)
        print_files(_console, _files(places, trained))
        _name_the_page(url, shlex.join(["greenfork", *serve]), stay)


def _name_the_page(url: str, serve: str, stay: bool) -> None:
    """Says where there is something to look at, and waits there if that is wanted."""
    if not stay:
        _console.print(f"To look at its states and their futures: {serve}", soft_wrap=True)
        _console.print(f"and open {url}/ui; or run the demo with --stay")
        return
    _console.print(f"Look at its states and their futures: {url}/ui", style="bold")
    _console.print("The service runs until you press Ctrl-C.")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _prepare(places: _Places) -> None:
    marker = places.root / ".greenfork-demo"
    if places.root.exists() and any(places.root.iterdir()) and not marker.exists():
        raise InputError(f"{places.root} was not created by the demo; choose another --out")
    shutil.rmtree(places.root, ignore_errors=True)
    places.root.mkdir(parents=True)
    marker.touch()


def _step(number: int, text: str) -> None:
    _console.print(f"\n{number}/{_STEPS}  {text}", style="bold")


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "greenfork", *arguments]


def _say(arguments: list[str]) -> None:
    _console.print(f"$ greenfork {shlex.join(arguments)}", style="dim")


def _run(arguments: list[str], is_captured: bool = False) -> str:
    """Runs a command of ours; its progress is shown, and its output too unless captured."""
    _say(arguments)
    stdout = subprocess.PIPE if is_captured else None
    done = subprocess.run(
        _command(arguments), stdout=stdout, text=True, check=False, env=_ONE_THREAD | os.environ
    )
    if done.returncode not in (0, 1):
        _fail(done.stdout or "", done.returncode)
    return done.stdout or ""


def _fail(output: str, status: int) -> NoReturn:
    """Ends the demo, saying why: commands that print for machines say it on stdout."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        _console.print(json.loads(output)["error"]["message"], style="red")
    raise typer.Exit(status)


def _report(arguments: list[str]) -> dict[str, Any]:
    """What a command that trains says of itself; ends the demo where it failed."""
    output = _run([*arguments, "--json"], is_captured=True)
    report: dict[str, Any] = json.loads(output)
    if "error" in report:
        _fail(output, 1)
    return report


def _build(places: _Places, scenario: str, states: int, held_out: int) -> None:
    """Runs with a signal that decides by coin, so that all kinds of states come up."""
    for folder, count, seeds in (
        (places.dataset, states, (1, 2)),
        (places.held_out, held_out, (101, 102, 103, 104)),
    ):
        build = ["dataset", "build", scenario, "--out", str(folder), "--outcomes"]
        build += ["--policy", "random", "--only-replays", "--eval-share", "0"]
        build += [word for seed in seeds for word in ("--seed", str(seed))]
        _run([*build, "--states", str(count)])


def _write_decisions(places: _Places) -> None:
    """Both answers at every decision point, as a model writes them, and one that is none."""
    rows = [json.loads(line) for line in (places.dataset / "train.jsonl").read_text().splitlines()]
    answers = ['{"extend": "yes"}', '{"extend": "no"}']
    items = [
        {
            "id": f"{row['state_id']} {answer}",
            "state_id": row["state_id"],
            "tls_id": row["tls_id"],
            "decision_kind": "extend",
            "completion": answer,
        }
        for row in rows
        for answer in [*answers, *(["I would keep it green."] if row is rows[0] else [])]
    ]
    places.decisions.write_text("".join(f"{json.dumps(item)}\n" for item in items))


def _score(places: _Places, url: str) -> dict[str, Any]:
    arguments = ["score", "--url", url, "--input", str(places.decisions)]
    output = _run([*arguments, "--output", str(places.rewards), "--json"], is_captured=True)
    summary: dict[str, Any] = json.loads(output)
    _console.print(
        f"{summary['lines']} decisions in {summary['wall_s']:.1f} s, "
        f"{summary['rollouts']} simulations run"
    )
    return summary


def _teach(places: _Places, lessons: int) -> str:
    """Makes the small model and teaches it; gives its folder."""
    arguments = ["train", "sft", "--config", "warm-start", "--dataset-path", str(places.dataset)]
    arguments += ["--output-dir", str(places.warm_start), "--lessons", str(lessons)]
    report = _report(arguments)
    check = report["check"]
    if check is not None:
        _console.print(f"strict JSON in {check['strict_share']:.0%} of {check['rows']} answers")
    return str(report["files"]["model"])


def _train(places: _Places, url: str, config: str, model: str, max_steps: int) -> dict[str, Any]:
    arguments = ["train", "grpo", "--config", config, "--model-path", model]
    arguments += ["--dataset-path", str(places.dataset), "--reward-url", url]
    arguments += ["--output-dir", str(places.training), "--max-steps", str(max_steps)]
    return _report(arguments)


def _evaluate(places: _Places, before: str, after: str) -> None:
    arguments = ["evaluate", "--dataset", str(places.held_out), "--split", "all"]
    arguments += ["--model", before, "--model", after]
    arguments += ["--baseline", "random", "--baseline", "longest-queue"]
    _run([*arguments, "--baseline", "oracle", "--plot", str(places.evaluation)])


def _files(places: _Places, trained: dict[str, Any]) -> dict[str, Path | str | None]:
    files = trained["files"]
    return {
        "datasets": f"{places.dataset}, {places.held_out}",
        "decisions and rewards": f"{places.decisions}, {places.rewards}",
        "model before": places.warm_start if places.warm_start.exists() else None,
        "model": files["model"],
        "adapter": files["adapter"],
        "merged model": files["merged"],
        "reward plot": files["plot"],
        "metrics of every step": files["metrics"],
        "plot of the evaluation": places.evaluation,
        "report of the training": places.report,
        "log of the service": places.log,
    }
