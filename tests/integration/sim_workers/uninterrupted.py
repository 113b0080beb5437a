"""The independent path: plain ``sumo`` driven by TraCI, no forks, no state files, none of our code.

It runs the whole episode from its begin, makes the one call that CONTRACT defines for a decision,
and reads the queue second by second.
"""

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import traci

from shared.dataset import Action


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


class Uninterrupted:
    """One run of a dataset's scenario, with what its policy did."""

    def __init__(
        self, dataset: Path, manifest: dict[str, Any], actions: Sequence[Action] = ()
    ) -> None:
        self._actions = list(actions)
        command = own_command(manifest)
        if not command[1].startswith("original/"):
            command[1] = str(dataset / command[1])
        command = [part.replace("original/", f"{dataset}/original/") for part in command]
        with contextlib.redirect_stdout(io.StringIO()):
            traci.start([sumo_binary(), *command, "--no-step-log", "--no-warnings"])

    def __enter__(self) -> "Uninterrupted":
        return self

    def __exit__(self, *exc: object) -> None:
        traci.close()

    def queue_after(
        self, time_s: float, tls_id: str, remaining_s: float | None, horizon_s: int
    ) -> list[int]:
        """The queue after each second of the horizon, deciding at ``time_s``."""
        while (now_s := traci.simulation.getTime()) < time_s:
            while self._actions and self._actions[0].time_s <= now_s:
                action = self._actions.pop(0)
                traci.trafficlight.setPhaseDuration(action.tls_id, action.remaining_s)
            traci.simulationStep()
        lanes = sorted(set(traci.trafficlight.getControlledLanes(tls_id)))
        if remaining_s is not None:
            traci.trafficlight.setPhaseDuration(tls_id, remaining_s)
        start_s = traci.simulation.getTime()
        queues = []
        for second in range(1, horizon_s + 1):
            traci.simulationStep(start_s + second)
            queues.append(sum(traci.lane.getLastStepHaltingNumber(lane) for lane in lanes))
        return queues


@dataclass(frozen=True)
class Question:
    """What is asked of a run: the queue after each second, deciding at a moment."""

    time_s: float
    tls_id: str
    remaining_s: float | None
    horizon_s: int = 60


def plain_queue(
    dataset: Path, manifest: dict[str, Any], question: Question, actions: Sequence[Action] = ()
) -> list[int]:
    """The answer of plain SUMO, asked by a process that has done nothing else."""
    asked = {
        "dataset": str(dataset),
        "command": own_command(manifest),
        "question": asdict(question),
        "actions": [action.model_dump(mode="json") for action in actions],
    }
    answer = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(asked),
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    queue: list[int] = json.loads(answer.stdout)
    return queue


def main() -> None:
    """Answers a question that comes on stdin."""
    asked = json.load(sys.stdin)
    actions = [Action.model_validate(action) for action in asked["actions"]]
    manifest = {"simulation": {"command": asked["command"]}}
    question = Question(**asked["question"])
    dataset = Path(asked["dataset"]).resolve()
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(scratch),  # where outputs of the user's files go
        Uninterrupted(dataset, manifest, actions) as run,
    ):
        queue = run.queue_after(
            question.time_s, question.tls_id, question.remaining_s, question.horizon_s
        )
    sys.stdout.write(json.dumps(queue))


if __name__ == "__main__":
    main()
