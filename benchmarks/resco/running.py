"""Does runs, several side by side, and says when each is done."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from benchmarks.records import surroundings
from benchmarks.resco.plan import LOOK_AHEAD, Job
from benchmarks.resco.results import Result, Settings
from sim_workers.controllers.look_ahead import LookAheadSettings
from sim_workers.controllers.making import find_controller
from sim_workers.controllers.protocols import protocol_of
from sim_workers.controllers.runs import ControlPlan, run_episodes
from sim_workers.scenarios.resco import locate_scenario
from sim_workers.scenarios.scenario import Scenario, load_scenario

__all__ = ["RunFailed", "run_jobs"]


class RunFailed(RuntimeError):
    """An hour could not be driven to its end."""


class _Stopped(BaseException):
    """Nobody waits for this run any more; no one may take it for a failure."""


class _Networks:
    """Loads each network once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, Scenario] = {}

    def get(self, name: str) -> Scenario:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_scenario(locate_scenario(f"resco:{name}"))
            return self._loaded[name]


def run_jobs(
    jobs: Sequence[Job],
    settings: Settings,
    workers: int,
    on_done: Callable[[Job, "Result | RunFailed"], None],
) -> None:
    """Does runs in their order, so many at a time.

    Args:
        jobs: What is run.
        settings: Of look-ahead.
        workers: Side by side.
        on_done: Told each run as soon as it is done, in this thread.
    """
    networks, stopped = _Networks(), threading.Event()

    def run(job: Job) -> Result:
        return _run(job, networks.get(job.network), settings, stopped)

    with ThreadPoolExecutor(workers) as executor:
        running = {executor.submit(run, job): job for job in jobs}
        try:
            for future in as_completed(running):
                on_done(running[future], _outcome(future))
        except BaseException:
            stopped.set()
            executor.shutdown(cancel_futures=True)
            raise


def _outcome(future: "Future[Result]") -> "Result | RunFailed":
    try:
        return future.result()
    except RunFailed as exc:
        return exc


def _run(job: Job, scenario: Scenario, settings: Settings, stopped: threading.Event) -> Result:
    def check(_: float) -> None:
        if stopped.is_set():
            raise _Stopped

    chosen = LookAheadSettings(settings.horizon_s, settings.base, settings.passes)
    spec = find_controller(job.controller, chosen)
    plan = ControlPlan(scenario, protocol_of("resco", job.network), (spec,), (job.seed,), lanes=1)
    (run,) = run_episodes(plan, check)
    if run.finished is None:
        assert run.error is not None  # noqa: S101
        raise RunFailed(f"{run.error.message} [{run.error.code}]")
    return Result(
        network=job.network,
        scenario_id=scenario.scenario_id,
        controller=job.controller,
        settings=settings if job.controller == LOOK_AHEAD else None,
        seed=job.seed,
        figures=run.finished.figures,
        decisions=run.decisions,
        invalid=run.invalid,
        deciding_s=round(run.deciding_s, 2),
        wall_s=round(run.wall_s, 2),
        surroundings=surroundings(),
    )
