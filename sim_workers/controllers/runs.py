"""Whole episodes under controllers, several side by side, on this machine."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.errors import GreenforkError
from shared.wire.episodes import (
    PRESETS,
    EpisodeControl,
    EpisodeRequest,
    StepRequest,
    YellowTransition,
)
from shared.wire.error_info import ErrorInfo
from sim_workers.controllers.controller import Controller, ProgramKind
from sim_workers.controllers.making import ControllerSpec
from sim_workers.controllers.programs import add_programs
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Describe, Described, Observe, Observed, Open
from sim_workers.episodes.episode import Episode, FinishedEpisode
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.scenarios.scenario import Scenario

__all__ = [
    "ControlPlan",
    "ControlRun",
    "Protocol",
    "by_controller",
    "protocol_of",
    "run_episodes",
    "simulated_s",
]

_LIMIT_S = 600.0
_NAMED = "local"
"""Stands for a scenario that no service knows."""


@dataclass(frozen=True)
class Protocol:
    """The rules of a benchmark."""

    control: EpisodeControl
    arguments: tuple[str, ...] = ()
    """Of SUMO: what the benchmark's version of it did by default."""


def protocol_of(name: str, scenario: str) -> Protocol:
    """The protocol of a name: ``resco``, ``sumo-rl`` or ``program``.

    Args:
        name: The name.
        scenario: The scenario's name: RESCO steers ``arterial4x4`` more often than the others.
    """
    if name != "resco":
        return Protocol(PRESETS[name])
    control = PRESETS["resco"]
    if scenario == "arterial4x4":
        faster = {"interval_s": 5, "min_green_s": 3, "transition": YellowTransition(yellow_s=2)}
        control = control.model_copy(update=faster)
    return Protocol(control, ("--default.departspeed=0", "--default.departlane=first"))


@dataclass(frozen=True)
class ControlPlan:
    """What is compared."""

    scenario: Scenario
    protocol: Protocol
    controllers: tuple[ControllerSpec, ...]
    seeds: tuple[int, ...]
    lanes: int
    """Episodes side by side."""
    end_s: float | None = None
    """None: after an hour, or where the scenario ends."""


@dataclass(frozen=True)
class ControlRun:
    """What became of one controller's episode under one seed."""

    controller: str
    seed: int
    finished: FinishedEpisode | None
    error: ErrorInfo | None
    decisions: int = 0
    """That were given."""
    invalid: int = 0
    deciding_s: float = 0
    """Wall-clock seconds in which the controller made up its mind."""
    wall_s: float = 0


def run_episodes(
    plan: ControlPlan,
    on_step: Callable[[float], None] = lambda seconds: None,
    on_done: Callable[[ControlRun], None] = lambda run: None,
) -> list[ControlRun]:
    """Runs every controller under every seed.

    An episode that fails is a run with an error; the others go on.

    Args:
        plan: What to run.
        on_step: Told the simulated seconds of each step, from any thread.
        on_done: Told each run when it is done, in this thread.

    Raises:
        InvalidRequest: The scenario cannot be run so.
        RolloutRejected: SUMO refuses the scenario.
    """
    jobs = [(spec, seed) for seed in plan.seeds for spec in plan.controllers]
    with (
        TemporaryDirectory(prefix="greenfork-control-") as folder,
        ForkServer() as fork_server,
        ThreadPoolExecutor(max(1, plan.lanes)) as lanes,
    ):
        runner = _Runner(plan, fork_server, Path(folder), on_step)
        running = {lanes.submit(runner.run, *job): job for job in jobs}
        done: dict[tuple[str, int], ControlRun] = {}
        try:
            for future in as_completed(running):
                run = future.result()
                done[run.controller, run.seed] = run
                on_done(run)
        except BaseException:
            runner.stop()
            lanes.shutdown(cancel_futures=True)
            raise
    return [done[spec.name, seed] for spec in plan.controllers for seed in plan.seeds]


class _Runner:
    """Runs episodes of one plan."""

    def __init__(
        self,
        plan: ControlPlan,
        fork_server: ForkServer,
        folder: Path,
        on_step: Callable[[float], None],
    ) -> None:
        self._plan = plan
        self._fork_server = fork_server
        self._folder = folder
        self._on_step = on_step
        self._openings: dict[ProgramKind | None, Open] = {}
        self._opening_lock = threading.Lock()
        self._is_stopped = False

    def stop(self) -> None:
        """Ends episodes at their next step."""
        self._is_stopped = True

    def run(self, spec: ControllerSpec, seed: int) -> ControlRun:
        """One episode."""
        began_s = time.monotonic()
        try:
            return self._run(spec, seed, began_s)
        except GreenforkError as exc:
            wall_s = time.monotonic() - began_s
            return ControlRun(spec.name, seed, None, ErrorInfo.of(exc), wall_s=wall_s)

    def _run(self, spec: ControllerSpec, seed: int, began_s: float) -> ControlRun:
        controller = spec.make(seed)
        deciding_s, decisions, invalid = 0.0, 0, 0
        with self._start(controller, seed) as episode:
            while not (episode.is_over or self._is_stopped):
                asked_s, before_s = time.monotonic(), episode.seen.time_s
                decided = dict(controller.decide(episode))
                deciding_s += time.monotonic() - asked_s
                answer = episode.step(StepRequest(step=episode.steps, decisions=decided))
                decisions += len(decided)
                invalid += len(answer.invalid)
                self._on_step(answer.time_s - before_s)
            finished = episode.finish()
        wall_s = time.monotonic() - began_s
        return ControlRun(spec.name, seed, finished, None, decisions, invalid, deciding_s, wall_s)

    def _start(self, controller: Controller, seed: int) -> Episode:
        plan = self._plan
        request = EpisodeRequest(
            scenario_id=_NAMED,
            seed=seed,
            end_s=plan.end_s,
            signals=None if controller.is_steering else (),
            control=plan.protocol.control,
        )
        scenario = plan.scenario
        spec = EpisodeSpec.of(
            request, seed, scenario.begin_s, scenario.end_s, arguments=plan.protocol.arguments
        )
        return Episode.start(self._fork_server, self._opening(controller.program), spec)

    def _opening(self, program: ProgramKind | None) -> Open:
        """How the scenario is opened, with its own programs or with SUMO's of a type."""
        with self._opening_lock:
            if program not in self._openings:
                config = self._plan.scenario.write(self._folder / (program or "own"))
                opening = Open(config=str(config), seed=self._plan.seeds[0])
                if program is not None:
                    self._add_programs(config, program, opening)
                self._openings[program] = opening
            return self._openings[program]

    def _add_programs(self, config: Path, program: ProgramKind, opening: Open) -> None:
        control = self._plan.protocol.control
        bounds = Describe(min_green_s=control.min_green_s, max_green_s=3600)
        with self._fork_server.open(opening) as handle:
            signals = handle.call(bounds, Described, _LIMIT_S).signals
            states = handle.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals
        add_programs(config, program, signals, states)


def simulated_s(plan: ControlPlan) -> float:
    """Simulated seconds of all episodes of a plan."""
    begin_s = plan.scenario.begin_s
    request = EpisodeRequest(scenario_id=_NAMED, end_s=plan.end_s)
    spec = EpisodeSpec.of(request, 0, begin_s, plan.scenario.end_s)
    return (spec.end_s - begin_s) * len(plan.seeds) * len(plan.controllers)


def by_controller(runs: Sequence[ControlRun]) -> dict[str, list[ControlRun]]:
    """The runs of each controller, in order."""
    found: dict[str, list[ControlRun]] = {}
    for run in runs:
        found.setdefault(run.controller, []).append(run)
    return found
