"""Whole episodes under controllers, several side by side, on this machine."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.errors import GreenforkError
from shared.wire.error_info import ErrorInfo
from sim_workers.controllers.control_run import ControlRun
from sim_workers.controllers.controller import AnswererSpec
from sim_workers.controllers.lockstep import Lockstep
from sim_workers.controllers.making import ControllerSpec
from sim_workers.controllers.protocols import Protocol
from sim_workers.controllers.starting import EpisodeStarter, LocalStarter, Start
from sim_workers.engine.fork_client import ForkServer
from sim_workers.scenarios.scenario import Scenario

__all__ = ["Comparison", "ControlPlan", "drive", "run_episodes"]

OnStep = Callable[[float], None]
OnDone = Callable[[ControlRun], None]


@dataclass(frozen=True)
class Comparison:
    """Which controllers decide, and how often."""

    controllers: tuple[ControllerSpec | AnswererSpec, ...]
    seeds: tuple[int, ...]
    lanes: int
    """Episodes at a time."""
    together: int = 32
    """Episodes of one answerer that step together, each in a process of its own."""


@dataclass(frozen=True)
class ControlPlan:
    """What to compare on this machine."""

    scenario: Scenario
    protocol: Protocol
    controllers: tuple[ControllerSpec | AnswererSpec, ...]
    seeds: tuple[int, ...]
    lanes: int
    """Episodes at a time."""
    end_s: float | None = None
    """When the episodes end; None: after an hour, or when the scenario ends."""


def run_episodes(
    plan: ControlPlan, on_step: OnStep = lambda seconds: None, on_done: OnDone = lambda run: None
) -> list[ControlRun]:
    """Runs every controller under every seed on this machine; see :func:`drive`.

    Raises:
        InvalidRequest: The scenario cannot be run in this way.
        RolloutRejected: SUMO refuses the scenario.
    """
    compared = Comparison(plan.controllers, plan.seeds, plan.lanes)
    with (
        TemporaryDirectory(prefix="greenfork-control-") as folder,
        ForkServer() as fork_server,
    ):
        starter = LocalStarter(plan.scenario, plan.protocol, plan.end_s, fork_server, Path(folder))
        return drive(compared, starter, on_step, on_done)


def drive(
    compared: Comparison,
    starter: EpisodeStarter,
    on_step: OnStep = lambda seconds: None,
    on_done: OnDone = lambda run: None,
) -> list[ControlRun]:
    """Runs every controller under every seed.

    Answerers come last, one after another: each has the machine to itself. An episode that fails
    is a run with an error; the others continue.

    Args:
        compared: What to run.
        starter: Starts the episodes.
        on_step: Called with the simulated seconds of each step, from any thread.
        on_done: Called with each run when it is done, in this thread.
    """
    with ThreadPoolExecutor(max(1, compared.lanes)) as lanes:
        runner = _Runner(compared, starter, lanes, on_step)
        done: dict[tuple[str, int], ControlRun] = {}
        try:
            for finish in (runner.run_alone, runner.run_together):
                for run in finish():
                    done[run.controller, run.seed] = run
                    on_done(run)
        except BaseException:
            runner.is_stopped = True
            lanes.shutdown(cancel_futures=True)
            raise
    return [done[spec.name, seed] for spec in compared.controllers for seed in compared.seeds]


class _Runner:
    """Runs the episodes of one comparison."""

    def __init__(
        self,
        compared: Comparison,
        starter: EpisodeStarter,
        lanes: Executor,
        on_step: OnStep,
    ) -> None:
        self._compared = compared
        self._starter = starter
        self._lanes = lanes
        self._on_step = on_step
        self.is_stopped = False
        """Ends episodes at their next step."""

    def run_alone(self) -> Iterator[ControlRun]:
        """The episodes whose controllers decide by themselves, as they finish."""
        specs = [one for one in self._compared.controllers if isinstance(one, ControllerSpec)]
        jobs = [(spec, seed) for seed in self._compared.seeds for spec in specs]
        for future in as_completed([self._lanes.submit(self._run, *job) for job in jobs]):
            yield future.result()

    def run_together(self) -> Iterator[ControlRun]:
        """The episodes of answerers, a limited number at a time."""
        compared = self._compared
        for spec in compared.controllers:
            if not isinstance(spec, AnswererSpec):
                continue
            lockstep = Lockstep(
                spec, self._starter, self._lanes, self._on_step, lambda: self.is_stopped
            )
            for begin in range(0, len(compared.seeds), compared.together):
                yield from lockstep.run(compared.seeds[begin : begin + compared.together])

    def _run(self, spec: ControllerSpec, seed: int) -> ControlRun:
        """One episode."""
        began_s = time.monotonic()
        try:
            return self._driven(spec, seed, began_s)
        except GreenforkError as exc:
            wall_s = time.monotonic() - began_s
            return ControlRun(spec.name, seed, None, ErrorInfo.of(exc), wall_s=wall_s)

    def _driven(self, spec: ControllerSpec, seed: int, began_s: float) -> ControlRun:
        controller = spec.make(seed)
        deciding_s, decisions, invalid = 0.0, 0, 0
        start = Start(seed, controller.program, controller.is_steering)
        with self._starter.start(start) as episode:
            while not (episode.is_over or self.is_stopped):
                asked_s, before_s = time.monotonic(), episode.seen.time_s
                request = controller.request(episode)
                deciding_s += time.monotonic() - asked_s
                answer = episode.step(request)
                decisions += len(request.decisions) + len(request.completions)
                invalid += len(answer.invalid)
                self._on_step(answer.time_s - before_s)
            finished = episode.finish()
        return ControlRun(
            spec.name,
            seed,
            finished,
            None,
            decisions=decisions,
            invalid=invalid,
            deciding_s=deciding_s,
            wall_s=time.monotonic() - began_s,
            rollouts=controller.rollouts,
        )
