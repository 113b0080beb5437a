"""The independent path: plain ``sumo`` driven by TraCI, no forks, no state files, none of our code.

A process that does nothing else talks to SUMO, one for all questions; each question has a run of
its own. It runs the whole episode from its begin, makes the one call that CONTRACT defines for a
decision, and reads the queue second by second.
"""

import atexit
import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traci
from sumolib.miscutils import getFreeSocketPort

if TYPE_CHECKING:
    from shared.dataset import Action

_CONNECT_TRIES = 3000
_CONNECT_EVERY_S = 0.02


def sumo_binary() -> str:
    """The ``sumo`` program of the installed eclipse-sumo package."""
    spec = importlib.util.find_spec("sumo")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "sumo")


def own_command(manifest: dict[str, Any]) -> list[str]:
    """Arguments of the run under the user's own configuration."""
    own = manifest.get("scenario", {}).get("original", [])
    command: list[str] = manifest["simulation"]["command"]
    return [*own, *command[2:]] if own else list(command)


@dataclass(frozen=True)
class Question:
    """What is asked of a run: the queue after each second, deciding at a moment."""

    time_s: float
    tls_id: str
    remaining_s: float | None
    horizon_s: int = 60


def plain_queues(
    dataset: Path,
    manifest: dict[str, Any],
    questions: Sequence[Question],
    actions: Sequence["Action"] = (),
) -> list[list[int]]:
    """The answers of plain SUMO, a run each.

    Args:
        dataset: Its folder.
        manifest: What says how the run was started.
        questions: Each is answered by a run of its own.
        actions: What the run's policy did.
    """
    asked = {
        "dataset": str(dataset.resolve()),
        "command": own_command(manifest),
        "questions": [asdict(question) for question in questions],
        "actions": [action.model_dump(mode="json") for action in actions],
    }
    asking = _asking()
    assert asking.stdin is not None
    assert asking.stdout is not None
    asking.stdin.write(f"{json.dumps(asked)}\n")
    asking.stdin.flush()
    answer = asking.stdout.readline()
    if not answer:
        _asking.cache_clear()
        raise AssertionError("plain SUMO has not answered; the reason is on stderr")
    queues: list[list[int]] = json.loads(answer)
    return queues


@cache
def _asking() -> subprocess.Popen[str]:
    """The process that talks to SUMO; it ends when its input does."""
    asking = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(asking.communicate)
    return asking


@contextlib.contextmanager
def _running(dataset: str, command: Sequence[str]) -> Iterator[Any]:
    """A connection to a run at its begin."""
    command = list(command)
    if not command[1].startswith("original/"):
        command[1] = str(Path(dataset, command[1]))
    command = [part.replace("original/", f"{dataset}/original/") for part in command]
    port = getFreeSocketPort()
    quiet = ["--no-step-log", "--no-warnings", "--remote-port", str(port)]
    with (
        subprocess.Popen([sumo_binary(), *command, *quiet], stdout=subprocess.DEVNULL) as sumo,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        run = traci.connect(port, _CONNECT_TRIES, "localhost", sumo, _CONNECT_EVERY_S)
        try:
            yield run
        finally:
            run.close()


def _queue_after(
    run: Any,  # noqa: ANN401  TraCI has no types
    question: Question,
    actions: Sequence[dict[str, Any]],
) -> list[int]:
    """The queue after each second of the horizon, deciding at the question's moment."""
    left = list(actions)
    while (now_s := run.simulation.getTime()) < question.time_s:
        while left and left[0]["time_s"] <= now_s:
            action = left.pop(0)
            run.trafficlight.setPhaseDuration(action["tls_id"], action["remaining_s"])
        run.simulationStep(min([question.time_s, *(action["time_s"] for action in left[:1])]))
    lanes = sorted(set(run.trafficlight.getControlledLanes(question.tls_id)))
    if question.remaining_s is not None:
        run.trafficlight.setPhaseDuration(question.tls_id, question.remaining_s)
    start_s = run.simulation.getTime()
    queues = []
    for second in range(1, question.horizon_s + 1):
        run.simulationStep(start_s + second)
        queues.append(sum(run.lane.getLastStepHaltingNumber(lane) for lane in lanes))
    return queues


def main() -> None:
    """Answers each line of questions that comes on stdin with a line."""
    for line in sys.stdin:
        asked = json.loads(line)
        answers = []
        for question in asked["questions"]:
            with (
                tempfile.TemporaryDirectory() as scratch,
                contextlib.chdir(scratch),  # where outputs of the user's files go
                _running(asked["dataset"], asked["command"]) as run,
            ):
                answers.append(_queue_after(run, Question(**question), asked["actions"]))
        sys.stdout.write(f"{json.dumps(answers)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
