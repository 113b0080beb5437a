"""``greenfork demo``: the main job from end to end, by the commands a user would type."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example: greenfork demo --scenario resco:ingolstadt1 --out runs/ingolstadt1"
_READY_LIMIT_S = 120.0
_STOP_LIMIT_S = 30.0
_console = Console()


@dataclass(frozen=True)
class _Places:
    """Where the demo puts things."""

    root: Path

    @property
    def dataset(self) -> Path:
        return self.root / "dataset"

    @property
    def decisions(self) -> Path:
        return self.root / "decisions.jsonl"

    @property
    def rewards(self) -> Path:
        return self.root / "rewards.jsonl"

    @property
    def training(self) -> Path:
        return self.root / "training"

    @property
    def log(self) -> Path:
        return self.root / "serve.log"


def demo(
    scenario: Annotated[
        str, typer.Option(help="A .sumocfg, or resco:NAME for a network of sumo-rl.")
    ] = "resco:cologne1",
    out: Annotated[Path, typer.Option(help="Folder for everything; emptied first.")] = Path(
        "runs/demo"
    ),
    states: Annotated[int, typer.Option(min=4, help="States in the dataset.")] = 60,
    config: Annotated[str, typer.Option(help="Training settings: a preset or file.")] = "cpu-demo",
    model_path: Annotated[
        str | None, typer.Option(help="A folder with a model. Default: the preset's.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps. Default: the preset's.")
    ] = None,
) -> None:
    """Build a dataset, serve it, score decisions offline, train through the reward URL."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    places = _Places(out)
    _prepare(places)
    _step(1, "Build a dataset of decision points, each proven to restore exactly")
    build = ["dataset", "build", scenario, "--out", str(places.dataset), "--outcomes"]
    _run([*build, "--states", str(states), "--seed", "42"])
    _step(2, "Start the reward service: gateway, embedded Ray, SQLite ledger")
    with _serving(places) as url:
        _step(3, "Score a file of offline decisions, twice: the second time is from the ledger")
        _write_decisions(places)
        scored = [_score(places, url, _console) for _ in range(2)]
        _step(4, "Train a language model by GRPO through the reward URL")
        trained = _train(places, url, config, model_path, max_steps)
    _show(scored, trained)
    _show_files(places, trained)


def _prepare(places: _Places) -> None:
    from shared.errors import InputError

    marker = places.root / ".greenfork-demo"
    if places.root.exists() and any(places.root.iterdir()) and not marker.exists():
        raise InputError(f"{places.root} is not from a demo; choose another --out")
    shutil.rmtree(places.root, ignore_errors=True)
    places.root.mkdir(parents=True)
    marker.touch()


def _step(number: int, text: str) -> None:
    _console.print(f"\n[bold]{number}/4  {text}[/bold]")


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


def _say(arguments: list[str]) -> None:
    _console.print(f"[dim]$ greenfork {shlex.join(arguments)}[/dim]", highlight=False)


def _run(arguments: list[str], is_captured: bool = False) -> str:
    """Runs a command of ours; its progress is shown, and its output too unless captured."""
    _say(arguments)
    stdout = subprocess.PIPE if is_captured else None
    done = subprocess.run(_command(arguments), stdout=stdout, text=True, check=False)
    if done.returncode not in (0, 1):
        raise typer.Exit(done.returncode)
    return done.stdout or ""


@contextmanager
def _serving(places: _Places) -> Iterator[str]:
    """The reward service while the block runs."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["serve", "--dataset", str(places.dataset), "--port", str(port)]
    arguments += ["--data-dir", str(places.root / "data")]
    _say(arguments)
    with places.log.open("wb") as log:
        server = subprocess.Popen(
            _command(arguments), stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await_ready(server, url, places.log)
            yield url
        finally:
            _stop(server)


def _await_ready(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    import httpx

    from shared.errors import NotReady

    deadline_s = time.monotonic() + _READY_LIMIT_S
    with _console.status("waiting until a first state is scored (GET /readyz)"):
        while time.monotonic() < deadline_s and server.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=10).is_success:
                    _console.print(f"ready at {url}; its API is described at {url}/docs")
                    return
            time.sleep(0.2)
    raise NotReady(f"the service did not become ready; its log is {log}")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_decisions(places: _Places) -> None:
    """Both answers at every decision point, as a model writes them, and one that is none."""
    rows = [
        json.loads(line)
        for split in ("train", "eval")
        for line in (places.dataset / f"{split}.jsonl").read_text().splitlines()
    ]
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


def _score(places: _Places, url: str, console: Console) -> dict[str, Any]:
    arguments = ["score", "--url", url, "--input", str(places.decisions)]
    output = _run([*arguments, "--output", str(places.rewards), "--json"], is_captured=True)
    summary: dict[str, Any] = json.loads(output)
    console.print(
        f"{summary['lines']} decisions in {summary['wall_s']:.1f} s, "
        f"{summary['rollouts']} simulations run"
    )
    return summary


def _train(
    places: _Places, url: str, config: str, model_path: str | None, max_steps: int | None
) -> dict[str, Any]:
    arguments = ["train", "grpo", "--config", config, "--dataset-path", str(places.dataset)]
    arguments += ["--reward-url", url, "--output-dir", str(places.training), "--json"]
    if model_path is not None:
        arguments += ["--model-path", model_path]
    if max_steps is not None:
        arguments += ["--max-steps", str(max_steps)]
    report: dict[str, Any] = json.loads(_run(arguments, is_captured=True))
    if "error" in report:
        _console.print(f"[red]{report['error']['message']}[/red]")
        raise typer.Exit(1)
    return report


def _show(scored: list[dict[str, Any]], trained: dict[str, Any]) -> None:
    table = Table(title="What was done", title_justify="left")
    table.add_column("")
    for column in ("items", "reward", "invalid", "failed", "cached", "rollouts", "a second"):
        table.add_column(column, justify="right")
    for name, summary in zip(("offline", "once more"), scored, strict=True):
        lines = summary["lines"]
        shares = [summary[key] / lines for key in ("invalid", "failed", "cached")]
        table.add_row(
            name,
            str(lines),
            _number(summary["mean_reward"]),
            *(f"{share:.0%}" for share in shares),
            str(summary["rollouts"]),
            f"{summary['items_per_s']:.0f}",
        )
    completions = trained["completions"]
    seconds = trained["reward_seconds"]
    table.add_row(
        f"GRPO {trained['steps']} steps",
        str(completions),
        f"{_number(trained['reward_first'])}\n{_number(trained['reward_last'])}",
        *(f"{trained[f'{key}_share']:.0%}" for key in ("invalid", "failed", "cached")),
        str(trained["rollouts"]),
        f"{completions / seconds:.0f}" if seconds else "-",
    )
    _console.print()
    _console.print(table)
    _console.print(
        "reward: the mean; in training the sum of format and traffic, first five steps and last "
        "five\nrollouts: simulations run, references included; the rest came from the ledger\n"
        "a second: items, as seen by the one who waits for them",
        style="dim",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _show_files(places: _Places, trained: dict[str, Any]) -> None:
    files = {
        "dataset": places.dataset,
        "decisions and rewards": f"{places.decisions}, {places.rewards}",
        "reward plot": trained["files"]["plot"],
        "metrics of every step": trained["files"]["metrics"],
        "adapter": trained["files"]["adapter"],
        "merged model": trained["files"]["merged"],
        "log of the service": places.log,
    }
    table = Table(title="Where it is", title_justify="left", show_header=False)
    for name, place in files.items():
        table.add_row(name, str(place))
    _console.print(table)
