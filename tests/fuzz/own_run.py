"""The user's own simulation: plain SUMO under the user's own configuration, and nothing of ours.

A process of its own, ``python -m tests.fuzz.own_run``: it takes a :class:`Request` as JSON on its
input and answers with one :class:`Answer` a question. It imports nothing of the product. What a
decision does and what is measured is written down here from the contract's words.

A decision is asked of a copy of the process, or, with ``is_alone``, of the run itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Question", "Request", "ask"]

_TOLERANCE_S = 1e-6
_LIMIT_S = 300
_NEEDED = ("PATH", "HOME", "PYTHONPATH")

Metrics = dict[str, float | int | None]


@dataclass(frozen=True)
class Question:
    """A moment, a signal, a decision."""

    time_s: float
    tls_id: str
    decision: dict[str, Any]
    """As the contract writes it in JSON; empty leaves the program alone."""
    min_green_s: float
    max_green_s: float


@dataclass(frozen=True)
class Request:
    """What is to be run and asked."""

    config: str
    seed: int | None
    is_teleport_silent: bool
    """Whether the configuration says nothing of teleporting."""
    horizons_s: tuple[int, ...]
    questions: tuple[Question, ...]
    """In the order of their times."""
    actions: tuple[tuple[float, str, float], ...] = ()
    """What a policy did: when, at which signal, and how long the phase was to last from then."""
    is_alone: bool = False
    """Ask the only question without copying the process."""


@dataclass(frozen=True)
class Answer:
    """What SUMO showed."""

    phase: int
    elapsed_s: float
    """Of the signal at the moment, before the decision."""
    metrics: dict[str, Metrics]
    """By horizon."""
    queue: list[int]
    """Second by second, to the longest horizon."""


class SumoRefused(Exception):
    """Plain SUMO does not run the configuration; holds its last words."""


def ask(request: Request, **environment: str) -> list[Answer]:
    """Runs the user's simulation in a process of its own, in a clean environment.

    Args:
        request: What is run and asked.
        environment: What the process's environment has beside the little that it needs.

    Raises:
        SumoRefused: It does not run.
    """
    needed = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.own_run"],
            input=json.dumps(asdict(request)),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            env=needed | {"LANG": "C.UTF-8"} | environment,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise SumoRefused(f"it has not ended after {_LIMIT_S} s") from exc
    if done.returncode != 0:
        raise SumoRefused(done.stderr.strip()[-1500:] or f"ended with {done.returncode}")
    return [Answer(**answer) for answer in json.loads(done.stdout.rsplit("\n", 2)[-2])]


def _main() -> None:
    data = json.load(sys.stdin)
    questions = tuple(Question(**question) for question in data.pop("questions"))
    request = Request(**{**data, "questions": questions})
    import libsumo

    os.chdir(Path(request.config).parent)
    seed = () if request.seed is None else ("--seed", str(request.seed))
    teleport = ("--time-to-teleport", "-1") if request.is_teleport_silent else ()
    libsumo.start(
        ["sumo", "-c", request.config, *seed, *teleport, "--no-step-log", "--duration-log.disable"]
    )
    answers = [asdict(answer) for answer in _answers(libsumo, request)]
    if not request.questions:
        _step_to(libsumo, libsumo.simulation.getTime() + 60)
    sys.stdout.write("\n" + json.dumps(answers) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the simulation need not be closed: its outputs go with their folder


def _answers(sumo: Any, request: Request) -> Iterator[Answer]:  # noqa: ANN401  libsumo is untyped
    actions = list(request.actions)
    for question in request.questions:
        while actions and actions[0][0] < question.time_s - _TOLERANCE_S:
            time_s, tls_id, remaining_s = actions.pop(0)
            _step_to(sumo, time_s)
            sumo.trafficlight.setPhaseDuration(tls_id, remaining_s)
        _step_to(sumo, question.time_s)
        now_s = sumo.simulation.getTime()
        if abs(now_s - question.time_s) > _TOLERANCE_S:
            raise SystemExit(f"the run is never at {question.time_s} s, but at {now_s} s")
        yield (
            _answer(sumo, question, request.horizons_s)
            if request.is_alone
            else _in_a_copy(sumo, question, request.horizons_s)
        )


def _in_a_copy(sumo: Any, question: Question, horizons_s: tuple[int, ...]) -> Answer:  # noqa: ANN401
    with tempfile.NamedTemporaryFile("r") as file:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                answer = _answer(sumo, question, horizons_s)
                Path(file.name).write_text(json.dumps(asdict(answer)))
                status = 0
            except BaseException as exc:  # noqa: BLE001  the copy ends here, whatever it was
                sys.stderr.write(f"{exc!r}\n")
                sys.stderr.flush()
            os._exit(status)
        _, ended = os.waitpid(pid, 0)
        if ended != 0:
            raise SystemExit(f"the copy at {question.time_s} s ended with {ended}")
        return Answer(**json.load(file))


def _step_to(sumo: Any, time_s: float) -> None:  # noqa: ANN401
    while sumo.simulation.getTime() < time_s - _TOLERANCE_S:
        sumo.simulationStep()


def _answer(sumo: Any, question: Question, horizons_s: tuple[int, ...]) -> Answer:  # noqa: ANN401
    light = _Light(sumo, question)
    phase, elapsed_s = light.phase, light.elapsed_s
    deciding = light.carry_out(question.decision)
    next(deciding, None)
    counted = _Counted(sumo, question.tls_id)
    metrics: dict[str, Metrics] = {}
    for second in range(1, max(horizons_s) + 1):
        while sumo.simulation.getTime() < question.time_s + second - _TOLERANCE_S:
            sumo.simulationStep()
            next(deciding, None)
        counted.take()
        if second in horizons_s:
            metrics[str(second)] = counted.metrics()
    return Answer(phase, elapsed_s, metrics, counted.queue)


class _Light:
    """The decided signal. Each decision is a generator that acts between two steps."""

    def __init__(self, sumo: Any, question: Question) -> None:  # noqa: ANN401
        self._sumo = sumo
        self._lights = sumo.trafficlight
        self._question = question
        self._id = question.tls_id

    @property
    def phase(self) -> int:
        return int(self._lights.getPhase(self._id))

    @property
    def elapsed_s(self) -> float:
        return float(self._lights.getSpentDuration(self._id))

    @property
    def now_s(self) -> float:
        return float(self._sumo.simulation.getTime())

    def carry_out(self, decision: dict[str, Any]) -> Generator[None, None, None]:
        if not decision:
            return
        if decision["kind"] == "extend":
            self._extend(decision["extend"], decision["extend_s"])
        elif decision["kind"] == "phase":
            yield from self._change(decision["next_phase"], decision["green_s"])
        else:
            raise SystemExit(f"nobody wrote down what {decision} does")

    def _extend(self, is_longer: bool, extend_s: float) -> None:
        asked = self._question
        longer_s = min(extend_s, asked.max_green_s - self.elapsed_s)
        shorter_s = max(0.0, asked.min_green_s - self.elapsed_s)
        self._lights.setPhaseDuration(self._id, longer_s if is_longer else shorter_s)

    def _change(self, target: int, green_s: float) -> Generator[None, None, None]:
        """The clearance after the green in full, one phase after the other; then the target."""
        if target == self.phase:
            self._lights.setPhaseDuration(self._id, green_s)
            return
        left_s = max(0.0, self._question.min_green_s - self.elapsed_s)
        self._lights.setPhaseDuration(self._id, left_s)
        leave_s = self.now_s + left_s
        while self.now_s < leave_s - _TOLERANCE_S:
            yield
        current = self.phase
        while not _is_green((coming := self._after(current)).state):
            current = self._index_after(current)
            self._show(current, coming.duration)
            ends_s = self.now_s + coming.duration
            yield
            while self.now_s < ends_s - _TOLERANCE_S:
                yield
        self._show(target, green_s)

    def _show(self, phase: int, seconds: float) -> None:
        self._lights.setPhase(self._id, phase)
        self._lights.setPhaseDuration(self._id, seconds)

    def _phases(self) -> Any:  # noqa: ANN401
        program = self._lights.getProgram(self._id)
        logics = self._lights.getAllProgramLogics(self._id)
        return next(logic.phases for logic in logics if logic.programID == program)

    def _after(self, phase: int) -> Any:  # noqa: ANN401
        return self._phases()[self._index_after(phase)]

    def _index_after(self, phase: int) -> int:
        phases = self._phases()
        named = phases[phase].next
        return int(named[0]) if named else (phase + 1) % len(phases)


def _is_green(letters: str) -> bool:
    return bool(set(letters) & set("Gg")) and not set(letters) & set("yu")


class _Counted:
    """What the contract's metrics are made of, second by second."""

    def __init__(self, sumo: Any, tls_id: str) -> None:  # noqa: ANN401
        self._sumo = sumo
        links = [link for group in sumo.trafficlight.getControlledLinks(tls_id) for link in group]
        self._in = list(dict.fromkeys(sumo.trafficlight.getControlledLanes(tls_id)))
        self._out = list(dict.fromkeys(link[1] for link in links))
        self._all = sumo.lane.getIDList()
        self.queue: list[int] = []
        self._wait_s: list[float] = []
        self._network: list[int] = []
        self._pressure: list[int] = []
        self._speeds_mps: list[float] = []
        self._delays: list[float] = []
        self._seen = 0
        self._left = 0
        self._before = self._there()

    def _there(self) -> list[str]:
        return [v for lane in self._in for v in self._sumo.lane.getLastStepVehicleIDs(lane)]

    def take(self) -> None:
        """Takes the second that was just simulated."""
        lane = self._sumo.lane
        there = self._there()
        self._left += len(set(self._before) - set(there))
        self._before = there
        self.queue.append(sum(lane.getLastStepHaltingNumber(each) for each in self._in))
        self._network.append(sum(lane.getLastStepHaltingNumber(each) for each in self._all))
        self._wait_s.append(fsum(lane.getWaitingTime(each) for each in self._in))
        leaving = sum(lane.getLastStepVehicleNumber(each) for each in self._out)
        self._pressure.append(len(there) - leaving)
        self._speeds_mps.append(fsum(self._sumo.vehicle.getSpeed(each) for each in there))
        self._seen += len(there)
        lost = [self._lost(each) for each in self._sumo.vehicle.getIDList()]
        self._delays.append(fsum([*lost, len(self._sumo.simulation.getPendingVehicles())]))

    def _lost(self, vehicle: str) -> float:
        """Of the vehicle's second; nothing off the road, or on a lane that is closed to it."""
        speed_mps = self._sumo.vehicle.getSpeed(vehicle)
        allowed_mps = self._sumo.vehicle.getAllowedSpeed(vehicle)
        return 0.0 if allowed_mps <= 0 else 1 - speed_mps / allowed_mps

    def metrics(self) -> Metrics:
        """Over the seconds so far."""
        seconds = len(self.queue)
        return {
            "queue_veh": sum(self.queue) / seconds,
            "queue_veh_max": float(max(self.queue)),
            "wait_s": fsum(self._wait_s) / seconds,
            "speed_mps": fsum(self._speeds_mps) / self._seen if self._seen else None,
            "throughput_veh": self._left,
            "pressure_veh": sum(self._pressure) / seconds,
            "network_queue_veh": sum(self._network) / seconds,
            "delay_veh": fsum(self._delays) / seconds,
        }


if __name__ == "__main__":
    _main()
