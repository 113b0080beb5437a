"""Builds a dataset: runs a scenario, keeps its decision points, and proves how each is restored.

The runs of a dataset are built in parallel (:mod:`sim_workers.datasets.run_builder`) in a folder
next to it (:mod:`sim_workers.datasets.build_directory`); their results are assembled at the end,
in the order of the runs (:mod:`sim_workers.datasets.writer`).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from pydantic import TypeAdapter

from shared.dataset import Manifest
from shared.errors import DatasetError
from shared.wire.states import StateRecord
from sim_workers.datasets.build_directory import BuildDirectory, BuildPlan
from sim_workers.datasets.build_plan import BuildOptions, Execution, Progress, Run, plan_runs
from sim_workers.datasets.run_builder import BuiltRun, RunBuilder
from sim_workers.datasets.writer import DatasetWriter, RunEntries
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.version import program_version, sumo_version
from sim_workers.pool.rollout import ENGINE_REVISION
from sim_workers.scenarios.scenario import Scenario, load_scenario, write_files
from sim_workers.states.unread_demand import Demand
from sim_workers.verification.fidelity import Comparison, Sides, compare

__all__ = ["build_dataset"]

_COMPARED_AFTER_S = 300
"""A run is compared with the user's own simulation for at least this long after its last state."""
_OPTIONS: TypeAdapter[BuildOptions] = TypeAdapter(BuildOptions)


def build_dataset(
    config: Path,
    out: Path,
    options: BuildOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    execution: Execution = Execution(),  # noqa: B008  immutable
    on_compared: Callable[[Comparison], None] = lambda comparison: None,
) -> Manifest:
    """Builds a dataset, or resumes an interrupted build.

    The dataset appears at ``out`` complete, or not at all. Until then it is built next to it; an
    interruption, even a power cut, leaves there what is done, and the same call resumes from it.

    Args:
        config: Any SUMO configuration with a signal.
        out: A folder that does not exist or is empty.
        options: What to build.
        on_progress: Called at the start and after each time slot, from this thread.
        execution: How to build.
        on_compared: Called with the result of each run's comparison with the user's own
            simulation, from this thread.

    Raises:
        ScenarioError: The scenario is unusable; ``no_signal`` if it has no signal,
            ``nothing_to_decide`` if its signals, or one in ``tls_ids``, leave nothing to decide.
        UnknownSignal: An id in ``tls_ids`` is not in the network.
        ConfigError: ``bad_actions``: stored actions do not fit the scenario.
        DatasetError: ``dataset_exists``, ``not_writable``, ``no_decision_points``,
            ``beyond_end``, ``build_running``, or ``other_build``.
        FidelityError: The simulation differs from the user's own.
        RolloutError: A simulation failed; ``not_reproducible`` if it does not repeat itself.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} already exists; choose another folder", "dataset_exists")
    scenario = load_scenario(config, options.begin_s)
    end_s = _end_s(scenario, options)
    seed = scenario.run_seed
    runs = _planned(scenario, end_s, seed, options)
    with BuildDirectory(
        out, _plan(scenario, replace(options, seeds=options.seeds or (seed,))), execution.restart
    ) as place:
        scenario.write(place.layout.scenario)
        if scenario.original is not None:
            write_files(place.layout.original, scenario.original.files)
        building = _Build(scenario, options, runs, place, end_s, on_progress, on_compared)
        manifest = building.run(execution)
        place.finish()
    return manifest


def _planned(scenario: Scenario, end_s: float, seed: int, options: BuildOptions) -> Sequence[Run]:
    """The runs of a dataset, at least one.

    Raises:
        DatasetError: ``no_decision_points``: there is no time for one.
    """
    runs = plan_runs(scenario.begin_s, end_s, seed, options)
    if not runs:
        raise DatasetError(
            "warm-up and horizon leave no time before the end; lower them or raise the end",
            "no_decision_points",
        )
    return runs


def _end_s(scenario: Scenario, options: BuildOptions) -> float:
    """The time beyond which no rollout goes, seconds."""
    wanted_s, end_s = options.end_s, scenario.end_s
    if wanted_s is not None and end_s is not None and wanted_s > end_s:
        raise DatasetError(
            f"the configuration ends at {end_s:g} s, so the truth at {wanted_s:g} s is undefined; "
            "choose an earlier end, or change the configuration's",
            "beyond_end",
        )
    return scenario.run_end_s if wanted_s is None else wanted_s


def _why_nothing(network: BuiltRun, options: BuildOptions) -> str:
    """Why no signal had anything to decide, and what to change."""
    greens = [
        phase.duration_s
        for signal in network.choice.decided
        for program in signal.programs.values()
        for phase in program.phases
        if phase.is_green
    ]
    said = "no signal was seen with a green between its minimum and its maximum"
    if greens and max(greens) <= options.min_green_s:
        return f"{said}; lower min_green_s below {max(greens):g}, the longest green"
    return f"{said}; collect more states, or at another time"


def _plan(scenario: Scenario, options: BuildOptions) -> BuildPlan:
    return BuildPlan(
        scenario_id=scenario.scenario_id,
        greenfork=program_version(),
        sumo=sumo_version(),
        engine=ENGINE_REVISION,
        options=_OPTIONS.dump_python(options, mode="json"),
    )


@dataclass(eq=False)
class _Build:
    """Builds the runs in parallel, and counts the results."""

    _scenario: Scenario
    _options: BuildOptions
    _runs: Sequence[Run]
    _place: BuildDirectory
    _end_s: float
    _on_progress: Callable[[Progress], None]
    _on_compared: Callable[[Comparison], None]
    _events: "SimpleQueue[_Event]" = field(default_factory=SimpleQueue)
    _halt: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._demand = Demand(self._place.layout.scenario.resolve())

    def run(self, execution: Execution) -> Manifest:
        """Builds what is left to build, and assembles the dataset.

        Raises:
            DatasetError: ``no_decision_points``.
        """
        network, comparisons = self._built(execution)
        recorded = [RunEntries(run, self._place.journal(run.name).read()) for run in self._runs]
        recorded = [each for each in recorded if each.entries]
        if not recorded:
            raise DatasetError(_why_nothing(network, self._options), "no_decision_points")
        writer = DatasetWriter(
            self._place.layout,
            self._scenario,
            self._options,
            self._end_s,
            network.signals,
            network.choice.undecidable,
            comparisons,
        )
        return writer.write(recorded)

    def _built(self, execution: Execution) -> tuple[BuiltRun, dict[str, Comparison]]:
        """A description of the network, and the result of each run's comparison."""
        progress = self._recovered()
        self._on_progress(progress)
        workers = min(execution.workers or os.cpu_count() or 1, len(self._runs))
        with ExitStack() as stack:
            fork_server = stack.enter_context(ForkServer())
            threads = stack.enter_context(ThreadPoolExecutor(workers, "run"))
            comparing = stack.enter_context(ThreadPoolExecutor(1, "comparing"))
            futures = [threads.submit(self._build_run, run, fork_server) for run in self._runs]
            compared = {
                run.name: comparing.submit(self._compare, run, built, fork_server)
                for run, built in zip(self._runs, futures, strict=True)
            }
            running: list[Future[Any]] = [*futures, *compared.values()]
            for each in running:
                each.add_done_callback(self._events.put)
            try:
                self._follow(progress, len(running), execution.allow_deviation)
            finally:
                self._halt.set()
                threads.shutdown(cancel_futures=True)
                comparing.shutdown(cancel_futures=True)
            return futures[0].result(), {name: each.result() for name, each in compared.items()}

    def _compare(self, run: Run, built: "Future[BuiltRun]", fork_server: ForkServer) -> Comparison:
        """Compares a run with the user's own; with a policy, once its actions are known."""
        original, actions = self._scenario.original, []
        assert original is not None, "what is built was loaded from a configuration"  # noqa: S101
        if not run.policy.is_idle:
            built.result()
            entries = self._place.journal(run.name).read()
            actions = [action for entry in entries for action in entry.actions]
        sides = Sides(original, self._scenario.files, run.seed, run.scale, actions)
        last_s = run.slots[-1].to_s + max(self._options.verified_s, _COMPARED_AFTER_S)
        return compare(sides, min(self._end_s, last_s), fork_server, self._halt.is_set)

    def _recovered(self) -> Progress:
        """The states that an interrupted build has left."""
        slots = sum(len(run.slots) for run in self._runs)
        progress = Progress(slots_done=0, slots=slots)
        for run in self._runs:
            entries = self._place.journal(run.name).recover()
            for entry in entries:
                progress = progress.with_slot(entry.record)
            skipped = entries[-1].slot + 1 - len(entries) if entries else 0
            progress = replace(progress, slots_done=progress.slots_done + skipped)
        return replace(progress, resumed=progress.states)

    def _build_run(self, run: Run, fork_server: ForkServer) -> BuiltRun:
        builder = RunBuilder(
            self._scenario,
            run,
            self._options,
            self._place,
            self._demand,
            self._events.put,
            self._halt,
        )
        return builder.build(fork_server)

    def _follow(self, progress: Progress, running: int, allow_deviation: bool) -> None:
        """Reports progress until all runs have ended; raises the error of the first to fail."""
        progress = replace(progress, runs=len(self._runs))
        while running:
            event = self._events.get()
            if isinstance(event, Future):
                running -= 1
                result = event.result()
                if not isinstance(result, Comparison):
                    continue
                self._on_compared(result)
                if not allow_deviation:
                    result.check()
                progress = replace(progress, compared=progress.compared + 1)
            else:
                progress = progress.with_slot(event)
            self._on_progress(progress)


_Event = StateRecord | Future[BuiltRun] | Future[Comparison] | None
"""A finished slot, with or without a state; or a run or comparison that has ended."""
