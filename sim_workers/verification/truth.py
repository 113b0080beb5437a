"""What a dataset is verified against: the user's own configuration, in a copy of the user's files.

A dataset keeps the originals that it was built from. Datasets of version 0.1 do not: the user has
to name the configuration, or else only the dataset's own bundle can be played, which cannot show
whether it is the user's simulation.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.dataset import Action, DatasetLayout, Manifest, SimulationRef
from shared.errors import DatasetError
from shared.files import os_errors, write_atomically
from shared.wire.states import Fidelity
from sim_workers.engine.fork_client import ForkServer
from sim_workers.scenarios.files import silenced
from sim_workers.scenarios.scenario import Original, load_scenario, read_files, write_files
from sim_workers.states.store import read_rows
from sim_workers.verification.fidelity import Comparison, Sides, compare
from sim_workers.verification.promotion import rewrite_lines

__all__ = ["Truth", "compare_runs", "mark_own", "truth_of"]


@dataclass(frozen=True)
class Truth:
    """How the runs of a dataset are played."""

    against: Fidelity
    folder: Path
    """Where SUMO is started."""
    arguments: tuple[str, ...] | None
    """The user's own configuration with its arguments; None takes each run's own command."""
    environment: Mapping[str, str] = field(default_factory=dict)
    original: Original | None = None

    def command(self, run: SimulationRef) -> tuple[str, ...]:
        """The arguments of a run."""
        if self.arguments is None:
            return run.command
        scaled = () if run.scale == 1 else ("--scale", repr(run.scale))
        return (*self.arguments, "--seed", str(run.seed), *scaled)


@contextmanager
def truth_of(root: Path, manifest: Manifest, config: Path | None) -> Iterator[Truth]:
    """What a dataset is verified against; its folder is removed with the context.

    Args:
        root: The dataset.
        manifest: Its manifest.
        config: The user's own configuration; None takes the original that the dataset keeps.

    Raises:
        ScenarioError: The configuration is unusable.
        DatasetError: The original has been changed.
    """
    with TemporaryDirectory(prefix="greenfork-verifying-") as folder:
        scratch, known = Path(folder), manifest.scenario
        if config is not None:
            original = load_scenario(config, _begin_s(manifest, config)).original
            assert original is not None, "a configuration was read"  # noqa: S101
            write_files(scratch / "original", silenced(original.files))
            arguments = original.arguments("original")
            yield Truth("own", scratch, arguments, original.variables, original)
        elif known.original:
            files = _originals(root)
            write_files(scratch / "original", silenced(files))
            yield Truth("own", scratch, known.original, known.variables)
        else:
            write_files(scratch / "scenario", read_files(DatasetLayout(root).scenario))
            yield Truth("bundle", scratch, None)


def compare_runs(root: Path, manifest: Manifest, truth: Truth) -> dict[str, Comparison]:
    """Compares the runs that have not yet been shown to be the user's own.

    Returns:
        The comparisons, by run; empty if the user's own simulation is not known.

    Raises:
        DatasetError: A run's policy actions cannot be read.
        RolloutError: A simulation failed.
    """
    if truth.original is None:
        return {}
    files = read_files(DatasetLayout(root).scenario)
    compared = {}
    with ForkServer() as fork_server:
        for run in manifest.simulations:
            if run.fidelity != "own":
                actions = _actions(root, run)
                sides = Sides(truth.original, files, run.seed, run.scale, actions)
                compared[run.run] = compare(sides, run.end_s, fork_server)
    return compared


def mark_own(root: Path, manifest: Manifest, compared: Mapping[str, Comparison]) -> None:
    """Marks in a dataset which of its runs turned out to be the user's own."""
    own = {run: found for run, found in compared.items() if found.difference is None}
    if not own:
        return
    layout = DatasetLayout(root)
    runs = tuple(
        run.model_copy(
            update={
                "fidelity": "own",
                "compared_to_s": own[run.run].compared_to_s,
                "deviation": None,
                "sensitivity": own[run.run].sensitivity,
            }
        )
        if run.run in own
        else run
        for run in manifest.simulations
    )
    first = next(run for run in runs if run.run == manifest.simulation.run)
    states = {
        state["state_id"]: {"fidelity": "own"}
        for state in map(json.loads, layout.index.read_bytes().splitlines())
        if state["run"] in own
    }
    for path in (layout.rows("train"), layout.rows("eval")):
        if path.is_file():
            rewrite_lines(path, states)
    marked = manifest.model_copy(update={"simulations": runs, "simulation": first})
    write_atomically(layout.manifest, f"{marked.model_dump_json(indent=2)}\n".encode())


def _begin_s(manifest: Manifest, config: Path) -> float | None:
    """The begin that the builder was given, if it is not the configuration's."""
    begin_s = manifest.simulation.begin_s
    return None if load_scenario(config).begin_s == begin_s else begin_s


def _originals(root: Path) -> dict[str, bytes]:
    folder = DatasetLayout(root).original
    with os_errors(DatasetError, f"cannot read the originals in {folder}"):
        return read_files(folder)


def _actions(root: Path, run: SimulationRef) -> list[Action]:
    return [] if run.actions is None else read_rows(root / run.actions, Action)
