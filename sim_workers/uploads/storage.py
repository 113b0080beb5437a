"""Uploaded scenarios and states on disk: a dataset without rows for each scenario.

::

    <data directory>/uploads/
      .incoming/…                   uploads being inspected; anything in it may be removed
      <scenario id>/manifest.json   complete as soon as the folder exists
                    scenario/ states/index.jsonl states/<state id>.xml

Nothing is ever changed in place: a folder or a file appears under its name when it is complete, so
that a reader, or a process that is killed, sees all of it or nothing. Several processes may write.
"""

from pathlib import Path

from shared.dataset import BuildReport, DatasetLayout, Manifest, SimulationRef
from shared.files import locked, sync, sync_tree, write_atomically
from shared.signals import Signal
from shared.wire.states import StateRecord
from sim_workers.engine.version import program_version, simulator
from sim_workers.scenarios.scenario import DATASET_CONFIG, Scenario, sumo_arguments

__all__ = ["place_scenario", "place_state", "run_name", "uploaded_manifest"]


def run_name(seed: int, scale: float) -> str:
    """The name of the run that a state is said to come from.

    >>> run_name(7, 1.0), run_name(7, 1.2)
    ('seed7', 'seed7-scale1.2')
    """
    return f"seed{seed}" if scale == 1 else f"seed{seed}-scale{scale!r}"


def uploaded_manifest(scenario: Scenario, signals: dict[str, Signal]) -> Manifest:
    """The manifest of a scenario without states."""
    run = _run(scenario.run_seed, 1.0, scenario.begin_s, scenario.run_end_s)
    return Manifest(
        greenfork=program_version(),
        simulator=simulator(),
        scenario=scenario.reference(),
        simulation=run,
        simulations=(run,),
        signals=signals,
        build=BuildReport(states=0, rows=0, replayed=0, horizon_s=60, extend_s=5),
    )


def place_scenario(draft: Path, target: Path) -> bool:
    """Moves a finished folder to its place; False if another one was there already."""
    sync_tree(draft)
    try:
        draft.rename(target)
    except OSError:  # a folder that is not empty is not replaced
        if not DatasetLayout(target).manifest.is_file():
            raise
        return False
    sync(target.parent)
    return True


def place_state(
    draft: Path, record: StateRecord, root: Path, run: SimulationRef | None = None
) -> StateRecord:
    """Moves a state's file to its place and adds it to the index.

    Args:
        draft: The file, on the same disk.
        record: The record to add.
        root: The scenario's folder.
        run: The run that it was saved from; None: only its seed and scale are known.

    Returns:
        The record in the index: if the state was there already, the existing one.
    """
    layout = DatasetLayout(root)
    with locked(layout.states):
        lines = layout.index.read_bytes()
        for known in map(StateRecord.model_validate_json, lines.splitlines()):
            if known.state_id == record.state_id:
                return known
        manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
        changed = _with_run(manifest, record, run).model_dump_json(indent=2)
        write_atomically(layout.manifest, f"{changed}\n".encode())
        sync(draft)
        draft.rename(layout.state_file(record.state_id))
        line = record.model_dump_json(exclude_none=True)
        write_atomically(layout.index, [lines, line.encode(), b"\n"])
        return record


def _with_run(manifest: Manifest, record: StateRecord, given: SimulationRef | None) -> Manifest:
    first = manifest.simulation
    known = {run.run: run for run in manifest.simulations}
    run = given or _run(record.seed, record.scale, first.begin_s, first.end_s)
    build = manifest.build.model_copy(update={"states": manifest.build.states + 1})
    runs = tuple((known | {run.run: known.get(run.run, run)}).values())
    return manifest.model_copy(update={"simulations": runs, "build": build})


def _run(seed: int, scale: float, begin_s: float, end_s: float) -> SimulationRef:
    return SimulationRef(
        run=run_name(seed, scale),
        command=sumo_arguments(DATASET_CONFIG, seed, scale),
        begin_s=begin_s,
        end_s=end_s,
        seed=seed,
        scale=scale,
        fidelity="unchecked",
    )
