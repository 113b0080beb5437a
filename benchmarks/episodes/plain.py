"""One episode in plain libsumo: ``python -m benchmarks.episodes.plain JOB``, JOB as a JSON file.

Written as anybody would who wants an hour of control and knows what the signals are told: the same
calls at the same moments, the same outputs of SUMO, and the same numbers read, second by second and
at each decision. Prints the measured :class:`benchmarks.episodes.jobs.Loop` as JSON.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import libsumo

from benchmarks.episodes.jobs import Job, Loop

__all__: list[str] = []

_OUTPUTS = ("tripinfo", "summary", "statistic")
_ALWAYS = (
    *("--no-step-log=true", "--no-warnings=true", "--duration-log.disable=true"),
    *("--tripinfo-output.write-unfinished=true", "--tripinfo-output.write-undeparted=true"),
)


def main() -> None:
    """Loads without being timed, then steps."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text())
    with TemporaryDirectory() as folder:
        outputs = [f"--{name}-output={folder}/{name}.xml" for name in _OUTPUTS]
        libsumo.start(["sumo", "-c", job.config, "--seed", str(job.seed), *_ALWAYS, *outputs])
        counts = _Counts(job.signals)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        seconds_s = _run(job, counts)
        loop = Loop(
            wall_s=time.perf_counter() - began_s,
            cpu_s=time.process_time() - began_cpu_s,
            queue_sum_veh=counts.queue_sum_veh,
            switches=counts.switches,
            seconds_s=tuple(moment_s - began_s for moment_s in seconds_s),
        )
        libsumo.close()
    sys.stdout.write(f"\n{loop.model_dump_json()}")


def _run(job: Job, counts: "_Counts") -> list[float]:
    """Steps to the end; returns when each second was done."""
    due, done_s = 0, []
    for second in range(int(job.begin_s), int(job.end_s)):
        if job.reads_all and (second - job.begin_s) % job.interval_s == 0:
            counts.look()
        while due < len(job.actions) and job.actions[due].time_s <= second:
            action = job.actions[due]
            getattr(libsumo.trafficlight, action.call)(action.tls_id, *action.arguments)
            due += 1
        libsumo.simulationStep()
        counts.add_delay()
        if job.reads_all:
            counts.add_signals()
        done_s.append(time.perf_counter())
    return done_s


@dataclass
class _Signal:
    """A traffic light: what is read of it."""

    tls_id: str
    lanes: tuple[str, ...]
    phases: list[tuple[list[str], list[str]]] = field(default_factory=list)
    """Of each green: the lanes that it serves, and those that it leads to."""
    shown: str = ""


class _Counts:
    """Everything that is read."""

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        self._signals = [_signal(tls_id) for tls_id in tls_ids]
        self.queue_sum_veh = self.switches = self.seen_veh = 0
        self.delay_sum_veh = 0.0

    def add_delay(self) -> None:
        """A second, of the whole network."""
        vehicle = libsumo.vehicle
        for each in vehicle.getIDList():
            allowed_mps = vehicle.getAllowedSpeed(each)
            if allowed_mps > 0:
                self.delay_sum_veh += 1 - vehicle.getSpeed(each) / allowed_mps
        self.delay_sum_veh += len(libsumo.simulation.getPendingVehicles())

    def add_signals(self) -> None:
        """A second, at the signals."""
        lane, light = libsumo.lane, libsumo.trafficlight
        for signal in self._signals:
            for each in signal.lanes:
                self.queue_sum_veh += lane.getLastStepHaltingNumber(each)
            state = light.getRedYellowGreenState(signal.tls_id)
            if state != signal.shown and _is_green(state):
                self.switches += signal.shown != ""
                signal.shown = state

    def look(self) -> None:
        """A decision: what stands, drives and waits on the lanes of each green, and beyond."""
        lane = libsumo.lane
        for signal in self._signals:
            libsumo.trafficlight.getPhase(signal.tls_id)
            for lanes, exits in signal.phases:
                queued = sum(map(lane.getLastStepHaltingNumber, lanes))
                there = sum(map(lane.getLastStepVehicleNumber, lanes))
                wait_s = sum(map(lane.getWaitingTime, lanes))
                beyond = sum(map(lane.getLastStepVehicleNumber, exits))
                self.seen_veh += queued + there + beyond + (wait_s > 0)


def _signal(tls_id: str) -> _Signal:
    light = libsumo.trafficlight
    signal = _Signal(tls_id, tuple(dict.fromkeys(light.getControlledLanes(tls_id))))
    links, running = light.getControlledLinks(tls_id), light.getProgram(tls_id)
    logics = {logic.programID: logic for logic in light.getAllProgramLogics(tls_id)}
    for phase in logics[running].phases:
        if _is_green(phase.state):
            shown = zip(links, phase.state, strict=True)
            served = [link for group, letter in shown if letter in "Gg" for link in group]
            ends = [list(dict.fromkeys(link[end] for link in served)) for end in (0, 1)]
            signal.phases.append((ends[0], ends[1]))
    return signal


def _is_green(state: str) -> bool:
    return "y" not in state and ("G" in state or "g" in state)


if __name__ == "__main__":
    main()
