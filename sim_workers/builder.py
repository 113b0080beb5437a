"""Building a dataset: run a scenario, keep its decision points, prove how each is restored.

The runs of a dataset are built side by side (:mod:`sim_workers.run_builder`) in a folder beside it
(:mod:`sim_workers.workplace`), and what they found is put together at the end, in the order of the
runs (:mod:`sim_workers.dataset_files`).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from pydantic import TypeAdapter

from shared.dataset import Manifest
from shared.errors import DatasetError
from shared.states import StateRecord
from sim_workers.build_plan import BuildOptions, Execution, Progress, Run, plan_runs
from sim_workers.dataset_files import DatasetWriter, RunEntries
from sim_workers.processes import Nursery
from sim_workers.rollouts import ENGINE_REVISION
from sim_workers.run_builder import BuiltRun, RunBuilder
from sim_workers.scenarios import Scenario, load_scenario
from sim_workers.version import sumo_version
from sim_workers.workplace import BuildPlan, Workplace

__all__ = ["build_dataset"]

_DEFAULT_SEED = 23423  # SUMO's own
_DEFAULT_LENGTH_S = 3600.0
_OPTIONS: TypeAdapter[BuildOptions] = TypeAdapter(BuildOptions)


def build_dataset(
    config: Path,
    out: Path,
    options: BuildOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    execution: Execution = Execution(),  # noqa: B008  immutable
) -> Manifest:
    """Builds a dataset, or goes on with one whose building was interrupted.

    It appears at ``out`` whole, or not at all. Until then it lies beside it; an interruption, a
    power cut included, leaves there what is done, and the same call goes on from there.

    Args:
        config: Any SUMO configuration with a signal.
        out: A folder that does not exist or is empty.
        options: What to build.
        on_progress: Called at the start and after each slot of time, by this thread.
        execution: How to build.

    Raises:
        ScenarioError: The scenario is unusable; ``no_signal`` where it has none,
            ``nothing_to_decide`` where its signals, or one that was asked for, have no choice.
        UnknownSignal: An id in ``tls_ids`` is not in the network.
        ConfigError: ``bad_actions``: stored actions do not fit the scenario.
        DatasetError: ``dataset_exists``, ``not_writable``, ``no_decision_points``,
            ``build_running``, or ``other_build``.
        RolloutError: A simulation failed; ``not_reproducible`` where it does not repeat itself.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} exists already; choose another folder", "dataset_exists")
    scenario = load_scenario(config, options.begin_s, any(s != 1 for s in options.scales))
    ends_s = (options.end_s, scenario.end_s, scenario.begin_s + _DEFAULT_LENGTH_S)
    end_s = next(end_s for end_s in ends_s if end_s is not None)
    seed = _DEFAULT_SEED if scenario.seed is None else scenario.seed
    runs = plan_runs(scenario.begin_s, end_s, seed, options)
    if not runs:
        raise DatasetError(
            "warm-up and horizon leave no time before the end; lower them or raise the end",
            "no_decision_points",
        )
    with Workplace(
        out, _plan(scenario, replace(options, seeds=options.seeds or (seed,))), execution.restart
    ) as place:
        scenario.write(place.layout.scenario)
        network = _Build(scenario, options, runs, place, on_progress).run(execution)
        recorded = [RunEntries(run, place.journal(run.name).read()) for run in runs]
        recorded = [each for each in recorded if each.entries]
        if not recorded:
            raise DatasetError(
                "no signal had a green between its minimum and maximum; lower min_green_s",
                "no_decision_points",
            )
        choice = network.choice
        writer = DatasetWriter(
            place.layout, scenario, options, end_s, network.signals, choice.undecidable
        )
        manifest = writer.write(recorded)
        place.finish()
    return manifest


def _plan(scenario: Scenario, options: BuildOptions) -> BuildPlan:
    return BuildPlan(
        scenario_id=scenario.scenario_id,
        greenfork=version("greenfork"),
        sumo=sumo_version(),
        engine=ENGINE_REVISION,
        options=_OPTIONS.dump_python(options, mode="json"),
    )


class _Build:
    """Builds the runs side by side and counts what comes of it."""

    def __init__(
        self,
        scenario: Scenario,
        options: BuildOptions,
        runs: Sequence[Run],
        place: Workplace,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scenario = scenario
        self._options = options
        self._runs = runs
        self._place = place
        self._on_progress = on_progress
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._halt = Event()

    def run(self, execution: Execution) -> BuiltRun:
        """Builds what is left to build and tells what the network is like."""
        progress = self._recovered()
        self._on_progress(progress)
        workers = min(execution.workers or os.cpu_count() or 1, len(self._runs))
        with ExitStack() as stack:
            lanes: SimpleQueue[_Lane] = SimpleQueue()
            for _ in range(workers):
                lanes.put((stack.enter_context(Nursery()), stack.enter_context(Nursery())))
            threads = stack.enter_context(ThreadPoolExecutor(workers, "run"))
            futures = [threads.submit(self._build_run, run, lanes) for run in self._runs]
            for future in futures:
                future.add_done_callback(self._events.put)
            try:
                self._follow(progress, len(futures))
            finally:
                self._halt.set()
                threads.shutdown(cancel_futures=True)
            return futures[0].result()

    def _recovered(self) -> Progress:
        """What an interrupted build has left."""
        slots = sum(len(run.slots) for run in self._runs)
        progress = Progress(slots_done=0, slots=slots)
        for run in self._runs:
            entries = self._place.journal(run.name).recover()
            for entry in entries:
                progress = progress.with_slot(entry.record)
            skipped = entries[-1].slot + 1 - len(entries) if entries else 0
            progress = replace(progress, slots_done=progress.slots_done + skipped)
        return replace(progress, resumed=progress.states)

    def _build_run(self, run: Run, lanes: "SimpleQueue[_Lane]") -> BuiltRun:
        lane = lanes.get()
        try:
            builder = RunBuilder(
                self._scenario, run, self._options, self._place, self._events.put, self._halt
            )
            return builder.build(*lane)
        finally:
            lanes.put(lane)

    def _follow(self, progress: Progress, running: int) -> None:
        """Reports what the runs do until all have ended; raises what the first to fail raises."""
        while running:
            event = self._events.get()
            if isinstance(event, Future):
                event.result()
                running -= 1
            else:
                progress = progress.with_slot(event)
                self._on_progress(progress)


_Lane = tuple[Nursery, Nursery]
"""What one run at a time is built with: for its live simulation, and for those compared with it."""
_Event = StateRecord | Future[BuiltRun] | None
"""A slot that is done, with or without a state; or a run that has ended."""
