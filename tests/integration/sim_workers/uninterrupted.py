"""The independent path: plain ``sumo`` driven by TraCI, no forks, no state files, none of our code.

It runs the whole episode from its begin, makes the one call that CONTRACT defines for a decision,
and reads the queue second by second.
"""

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import traci


def sumo_binary() -> str:
    """The ``sumo`` program of the installed eclipse-sumo package."""
    spec = importlib.util.find_spec("sumo")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "sumo")


class Uninterrupted:
    """One run of a dataset's scenario."""

    def __init__(self, dataset: Path, manifest: dict[str, Any]) -> None:
        command = list(manifest["simulation"]["command"])
        command[command.index("-c") + 1] = str(dataset / command[command.index("-c") + 1])
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
        while traci.simulation.getTime() < time_s:
            traci.simulationStep()
        lanes = sorted(set(traci.trafficlight.getControlledLanes(tls_id)))
        if remaining_s is not None:
            traci.trafficlight.setPhaseDuration(tls_id, remaining_s)
        queues = []
        for _ in range(horizon_s):
            traci.simulationStep()
            queues.append(sum(traci.lane.getLastStepHaltingNumber(lane) for lane in lanes))
        return queues
