"""Building a dataset: run a scenario, save its decision points, prove each, write the rows.

The live simulation runs uninterrupted in a process of its own. At a decision point it is saved;
then every legal decision is rolled out twice, by forking the live simulation and by forking one
restored from the file, and every vehicle is compared in every second. A state whose file does not
continue exactly is passed over.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from shared.dataset import (
    BuildReport,
    DatasetLayout,
    Manifest,
    Outcome,
    Row,
    ScenarioRef,
    SimulationRef,
)
from shared.errors import DatasetError, ScenarioError, UnknownSignal
from shared.legality import is_decision_point
from shared.prompts import build_prompt, difficulty
from shared.signals import Signal, SignalState
from shared.states import StateRecord
from sim_workers.build_plan import BuildOptions, Progress, decision_slots
from sim_workers.messages import (
    Advance,
    Describe,
    Described,
    Observe,
    Observed,
    Open,
    Ready,
    Save,
)
from sim_workers.processes import Holder, Nursery
from sim_workers.proof import Proof
from sim_workers.scenarios import (
    CONFIG_NAME,
    RESTORE_CONFIG_NAME,
    Scenario,
    load_scenario,
    sumo_arguments,
)
from sim_workers.statefile import make_state_id, normalise_state
from sim_workers.version import simulator

__all__ = ["build_dataset"]

_DEFAULT_SEED = 23423  # SUMO's own
_DEFAULT_LENGTH_S = 3600.0
_TRIES_A_SLOT = 5
_CALL_LIMIT_S = 600.0


def build_dataset(
    config: Path,
    out: Path,
    options: BuildOptions,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Builds a dataset. It appears at ``out`` whole, or not at all.

    Args:
        config: Any SUMO configuration with a signal.
        out: A folder that does not exist or is empty.
        options: What to build.
        on_progress: Called after each slot of time.

    Raises:
        ScenarioError: The scenario is unusable; ``no_signal`` where it has none.
        UnknownSignal: An id in ``tls_ids`` is not in the network.
        DatasetError: ``dataset_exists``, ``not_writable``, or ``no_decision_points``.
        RolloutError: A simulation failed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} exists already; choose another folder", "dataset_exists")
    scenario = load_scenario(config, options.begin_s)
    with _workplace(out) as root, Nursery() as nursery:
        layout = DatasetLayout(root)
        scenario.write(layout.scenario)
        layout.states.mkdir()
        builder = _Builder(scenario, layout, options, nursery)
        manifest = builder.run(on_progress)
        _write_json(layout.manifest, manifest)
        root.replace(out)
    return manifest


class _Builder:
    """One build: a live simulation, and what was kept of it."""

    def __init__(
        self, scenario: Scenario, layout: DatasetLayout, options: BuildOptions, nursery: Nursery
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._options = options
        self._nursery = nursery
        self._config = str((layout.scenario / CONFIG_NAME).resolve())
        given = options.seed if options.seed is not None else scenario.seed
        self._seed = _DEFAULT_SEED if given is None else given
        self._records: list[StateRecord] = []
        self._rows: list[list[Row]] = []
        self._passed_over = 0

    def run(self, on_progress: Callable[[Progress], None]) -> Manifest:
        """Runs the simulation through all slots and writes everything but the manifest."""
        with self._nursery.open(Open(config=self._config, seed=self._seed)) as live:
            return self._run(live, on_progress)

    def _run(self, live: Holder, on_progress: Callable[[Progress], None]) -> Manifest:
        signals = _describe(live, self._options)
        chosen = _choose(signals, self._options.tls_ids)
        begin_s = self._scenario.begin_s
        ends_s = (self._options.end_s, self._scenario.end_s, begin_s + _DEFAULT_LENGTH_S)
        end_s = next(end_s for end_s in ends_s if end_s is not None)
        slots = decision_slots(begin_s, end_s, self._options)
        for number, (from_s, to_s) in enumerate(slots, start=1):
            self._fill_slot(live, chosen, from_s, to_s)
            on_progress(Progress(number, len(slots), len(self._records), self._passed_over))
        if not self._records:
            raise DatasetError(self._why_empty(len(slots)), "no_decision_points")
        self._write_rows()
        return self._manifest(signals, begin_s, end_s)

    def _fill_slot(
        self, live: Holder, chosen: Sequence[Signal], from_s: float, to_s: float
    ) -> None:
        """Keeps the first decision point of the slot that restores exactly, if there is one."""
        tries, time_s = 0, from_s
        while time_s < to_s and tries < _TRIES_A_SLOT:
            live.call(Advance(to_s=time_s), Ready, _CALL_LIMIT_S)
            question = Observe(tls_ids=tuple(signal.tls_id for signal in chosen))
            seen = live.call(question, Observed, _CALL_LIMIT_S)
            points = [s for s in chosen if is_decision_point(s, seen.signals[s.tls_id])]
            if points:
                tries += 1
                if self._keep(live, seen, points):
                    return
                self._passed_over += 1
            time_s += 1

    def _keep(self, live: Holder, seen: Observed, points: Sequence[Signal]) -> bool:
        """Saves the state and its rows, if its file continues exactly."""
        state_id, path = self._save(live, seen.time_s)
        config = str((self._layout.scenario / RESTORE_CONFIG_NAME).resolve())
        request = Open(config=config, seed=self._seed, state_file=str(path))
        with self._nursery.open(request) as restored:
            outcomes = Proof(live, restored, seen, self._options).outcomes(points)
        if outcomes is None:
            path.unlink()
            return False
        self._records.append(
            StateRecord(
                state_id=state_id,
                scenario_id=self._scenario.scenario_id,
                time_s=seen.time_s,
                seed=self._seed,
                restore="state",
                verified_s=self._options.verified_s,
                simulator=simulator(),
                signals=seen.signals,
            )
        )
        self._rows.append([self._row(state_id, seen, s, outcomes[s.tls_id]) for s in points])
        return True

    def _save(self, live: Holder, time_s: float) -> tuple[str, Path]:
        raw = self._layout.states / "saving.xml"
        live.call(Save(path=str(raw.resolve())), Ready, _CALL_LIMIT_S)
        content = normalise_state(raw.read_bytes())
        raw.unlink()
        state_id = make_state_id(self._scenario.name, time_s, content)
        path = self._layout.state_file(state_id).resolve()
        path.write_bytes(content)
        return state_id, path

    def _row(
        self, state_id: str, seen: Observed, signal: Signal, outcomes: Sequence[Outcome]
    ) -> Row:
        state: SignalState = seen.signals[signal.tls_id]
        counts = seen.counts[signal.tls_id]
        return Row(
            prompt=build_prompt(signal, state, counts, self._options.extend_s),
            state_id=state_id,
            scenario=self._scenario.scenario_id,
            tls_id=signal.tls_id,
            decision_kind="extend",
            current_phase=state.phase,
            elapsed_green_s=state.elapsed_s,
            min_green_s=signal.min_green_s,
            max_green_s=signal.max_green_s,
            time_s=seen.time_s,
            seed=self._seed,
            restore="state",
            difficulty=difficulty(state.phase, counts),
            outcomes=tuple(outcomes) if self._options.with_outcomes else None,
        )

    def _write_rows(self) -> None:
        held_out = round(len(self._rows) * self._options.eval_share)
        split = len(self._rows) - held_out
        train = [row for rows in self._rows[:split] for row in rows]
        held = [row for rows in self._rows[split:] for row in rows]
        _write_lines(self._layout.rows("train"), train)
        _write_lines(self._layout.rows("eval"), held)
        _write_lines(self._layout.index, self._records)

    def _manifest(self, signals: dict[str, Signal], begin_s: float, end_s: float) -> Manifest:
        config = f"{self._layout.scenario.name}/{CONFIG_NAME}"
        return Manifest(
            greenfork=version("greenfork"),
            simulator=simulator(),
            scenario=ScenarioRef(
                scenario_id=self._scenario.scenario_id,
                name=self._scenario.name,
                config=config,
                dropped_options=self._scenario.dropped_options,
            ),
            simulation=SimulationRef(
                command=sumo_arguments(config, self._seed),
                begin_s=begin_s,
                end_s=end_s,
                seed=self._seed,
            ),
            signals=signals,
            build=BuildReport(
                states=len(self._records),
                rows=sum(len(rows) for rows in self._rows),
                passed_over=self._passed_over,
                horizon_s=self._options.horizon_s,
                extend_s=self._options.extend_s,
            ),
        )

    def _why_empty(self, slots: int) -> str:
        if slots == 0:
            return "warm-up and horizon leave no time before the end; lower them or raise the end"
        if self._passed_over:
            return f"none of {self._passed_over} states continued exactly from its file"
        return "no signal had a green between its minimum and maximum; lower min_green_s"


def _describe(live: Holder, options: BuildOptions) -> dict[str, Signal]:
    question = Describe(min_green_s=options.min_green_s, max_green_s=options.max_green_s)
    return live.call(question, Described, _CALL_LIMIT_S).signals


def _choose(signals: dict[str, Signal], tls_ids: Sequence[str]) -> list[Signal]:
    """The signals to decide: those asked for, or all that have a choice to make."""
    if not signals:
        raise ScenarioError("the network has no traffic light, so nothing to decide", "no_signal")
    for tls_id in tls_ids:
        if tls_id not in signals:
            raise UnknownSignal(
                f"the network has no signal {tls_id!r}; it has {', '.join(sorted(signals))}"
            )
    return [signals[tls_id] for tls_id in dict.fromkeys(tls_ids or sorted(signals))]


@contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to build in; removed if it was not moved away."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=f".{out.name}.building-", dir=out.parent))
    except OSError as exc:
        raise DatasetError(f"cannot write to {out.parent}: {exc.strerror}", "not_writable") from exc
    root.chmod(0o777 & ~_umask())
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_lines(path: Path, models: Sequence[BaseModel]) -> None:
    path.write_text("".join(f"{m.model_dump_json(exclude_none=True)}\n" for m in models))


def _write_json(path: Path, model: BaseModel) -> None:
    path.write_text(model.model_dump_json(indent=2) + "\n")
