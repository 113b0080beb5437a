"""Writing the files of a dataset out of the journals of its runs.

Everything is written in the order of the runs and, within a run, of time, so that a dataset is the
same to the byte however it was built.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from shared.dataset import (
    BuildReport,
    DatasetLayout,
    Manifest,
    Row,
    SimulationRef,
)
from shared.signals import Signal
from sim_workers.datasets.build_plan import BuildOptions, Run
from sim_workers.datasets.journal import JournalEntry
from sim_workers.engine.version import program_version, simulator
from sim_workers.scenarios.scenario import DATASET_CONFIG, Scenario, sumo_arguments
from sim_workers.verification.fidelity import Comparison

__all__ = ["DatasetWriter", "RunEntries"]


@dataclass(frozen=True)
class RunEntries:
    """A run, and what its journal says."""

    run: Run
    entries: Sequence[JournalEntry]


@dataclass(frozen=True)
class DatasetWriter:
    """Writes everything but the scenario and the states, which are there already."""

    layout: DatasetLayout
    scenario: Scenario
    options: BuildOptions
    end_s: float
    """No rollout ran beyond it, seconds."""
    signals: dict[str, Signal]
    undecidable: dict[str, str]
    comparisons: Mapping[str, Comparison]
    """By run, what its comparison with the user's own simulation showed."""

    def write(self, runs: Sequence[RunEntries]) -> Manifest:
        """Writes the dataset of these runs, in their order; each has states.

        Of states that several runs have in common, the first run's is kept. State files that belong
        to no state, as an interrupted build may leave them, are removed.
        """
        kept = [self._judged(each) for each in _without_repeated(runs)]
        splits = [_split(each.entries, self.options.eval_share) for each in kept]
        entries = [entry for each in kept for entry in each.entries]
        _write_lines(self.layout.rows("train"), (row for train, _ in splits for row in train))
        _write_lines(self.layout.rows("eval"), (row for _, held in splits for row in held))
        _write_lines(self.layout.index, (entry.record for entry in entries))
        self._remove_states_but({entry.record.state_id for entry in entries})
        simulations = tuple(self._simulation(each) for each in runs)
        report = self._report(entries, sum(len(each.entries) for each in runs) - len(entries))
        manifest = self._manifest(simulations, report)
        self.layout.manifest.write_text(manifest.model_dump_json(indent=2) + "\n")
        return manifest

    def _judged(self, recorded: RunEntries) -> RunEntries:
        """The entries of a run, their rows saying whether it is the user's own simulation."""
        if self.comparisons[recorded.run.name].difference is not None:
            return recorded
        entries = []
        for entry in recorded.entries:
            rows = tuple(row.model_copy(update={"fidelity": "own"}) for row in entry.rows)
            entries.append(entry.model_copy(update={"rows": rows}))
        return RunEntries(recorded.run, entries)

    def _simulation(self, recorded: RunEntries) -> SimulationRef:
        """How to repeat a run; what its policy did is written to a file of its own."""
        run, path, digest = recorded.run, None, None
        compared = self.comparisons[run.name]
        if not run.policy.is_idle:
            path = self.layout.actions(run.name)
            path.parent.mkdir(exist_ok=True)
            _write_lines(path, (a for entry in recorded.entries for a in entry.actions))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return SimulationRef(
            run=run.name,
            command=sumo_arguments(DATASET_CONFIG, run.seed, run.scale),
            begin_s=self.scenario.begin_s,
            end_s=self.end_s,
            seed=run.seed,
            scale=run.scale,
            policy=run.policy.label,
            fidelity="bundle" if compared.difference is not None else "own",
            compared_to_s=compared.compared_to_s,
            deviation=None if compared.difference is None else str(compared.difference),
            sensitivity=compared.sensitivity,
            actions=None if path is None else path.relative_to(self.layout.root).as_posix(),
            actions_sha256=digest,
        )

    def _report(self, entries: Sequence[JournalEntry], repeated: int) -> BuildReport:
        replayed = [entry.record for entry in entries if entry.record.restore == "replay"]
        return BuildReport(
            states=len(entries),
            rows=sum(len(entry.rows) for entry in entries),
            replayed=len(replayed),
            anchored=sum(record.anchor is not None for record in replayed),
            repeated=repeated,
            undecidable=self.undecidable,
            horizon_s=self.options.horizon_s,
            extend_s=self.options.extend_s,
        )

    def _manifest(self, simulations: tuple[SimulationRef, ...], report: BuildReport) -> Manifest:
        scenario, original = self.scenario.reference(), self.scenario.original
        if original is not None:
            own = {"original": original.arguments("original"), "variables": original.variables}
            scenario = scenario.model_copy(update=own)
        return Manifest(
            greenfork=program_version(),
            simulator=simulator(),
            scenario=scenario,
            simulation=simulations[0],
            simulations=simulations,
            signals=self.signals,
            build=report,
        )

    def _remove_states_but(self, state_ids: set[str]) -> None:
        for path in self.layout.states.glob("*.xml"):
            if path.stem not in state_ids:
                path.unlink()


def _without_repeated(runs: Sequence[RunEntries]) -> list[RunEntries]:
    """The runs without the states that an earlier one has: they had not departed from it yet."""
    known: set[str] = set()
    kept = []
    for each in runs:
        new = [entry for entry in each.entries if entry.record.state_id not in known]
        known.update(entry.record.state_id for entry in new)
        kept.append(RunEntries(each.run, new))
    return kept


def _split(entries: Sequence[JournalEntry], eval_share: float) -> tuple[list[Row], list[Row]]:
    """The rows for training, and those of the last states in time."""
    split = len(entries) - round(len(entries) * eval_share)
    train, held_out = (
        [row for entry in part for row in entry.rows] for part in (entries[:split], entries[split:])
    )
    return train, held_out


def _write_lines(path: Path, models: Iterable[BaseModel]) -> None:
    with path.open("w") as file:
        file.writelines(f"{model.model_dump_json(exclude_none=True)}\n" for model in models)
