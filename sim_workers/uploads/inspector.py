"""Inspects uploads in a process of its own: ``python -m sim_workers.uploads.inspector``.

An archive or a state file may be made to use up all memory, or to keep a parser busy for ever. So
none is opened in a process that anybody needs: this one has little memory, no network and a time
limit enforced by its owner, and leaves a finished folder or nothing.

It reads one request as JSON from standard input, and writes one answer to standard output.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydantic import Field

from shared.dataset import DatasetLayout, Manifest
from shared.errors import (
    GreenforkError,
    OutOfMemory,
    RolloutError,
    RolloutRejected,
    ScenarioError,
    StateFileError,
)
from shared.model import WireModel
from shared.wire.error_info import ErrorInfo
from shared.wire.states import StateRecord
from sim_workers.datasets.inspection import signals_of
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Observe, Observed
from sim_workers.engine.version import program_version, simulator, sumo_version
from sim_workers.sandbox.confinement import confine_reader, write_only
from sim_workers.sandbox.isolation import limit, limit_memory
from sim_workers.scenarios.scenario import Scenario, load_bundle, load_scenario
from sim_workers.states.foreign_states import read_foreign_state
from sim_workers.states.simulation_spec import SimulationSpec
from sim_workers.states.state_file import make_state_id
from sim_workers.states.store import read_manifest
from sim_workers.states.unread_demand import Demand
from sim_workers.uploads.archives import check_unpacked, most_bytes, unpack
from sim_workers.uploads.storage import run_name, uploaded_manifest

__all__ = ["IntakeAnswer", "IntakeRequest", "main"]

_LIMIT_S = 60.0
_NICENESS = 10
"""Rollouts, which somebody is waiting for, come first."""
_MAX_MANIFEST_CHARS = 8 << 20
"""The gateway reads it in one go; a city of two thousand signals has half as many."""
_EQUAL_S = 0.0005
"""SUMO counts milliseconds, but a file may be saved with only two decimals."""


class IntakeRequest(WireModel):
    """What to inspect."""

    upload: Path
    """The uploaded file, as it was sent."""
    folder: Path
    """An empty folder, in which the result is left."""
    name: str | None = None
    """For a scenario that is already a bundle: its name."""
    dataset: Path | None = None
    """For a state: the upload folder of its scenario. None: this is a scenario."""
    seed: int = 0
    scale: float = 1.0
    max_memory_bytes: int = Field(default=4 << 30, gt=0)
    """Memory of each process that takes part, not counting what they share."""
    max_state_bytes: int = Field(default=1 << 30, gt=0)


class IntakeAnswer(WireModel):
    """The result: one of these."""

    manifest: Manifest | None = None
    """The manifest of the scenario, which is now in the folder."""
    record: StateRecord | None = None
    """The record of the state, whose file is now in the folder: ``<state id>.xml``."""
    error: ErrorInfo | None = None


def main() -> None:
    """Answers one request."""
    request = IntakeRequest.model_validate_json(sys.stdin.buffer.read())
    limit()
    limit_memory(request.max_memory_bytes)
    os.nice(_NICENESS)
    program_version(), sumo_version()  # their files cannot be read any more later
    take = _take_scenario if request.dataset is None else _take_state
    with _confined(request) as fork_server:
        answer = _answer(request, partial(take, request, fork_server))
    sys.stdout.write(answer.model_dump_json())


@contextmanager
def _confined(request: IntakeRequest) -> Iterator[ForkServer]:
    """Confines this process to the upload and its folders, and to its fork server."""
    tempfile.tempdir = str(request.folder)
    given = [request.upload] if request.dataset is None else [request.upload, request.dataset]
    write_only([request.folder])
    with ForkServer() as fork_server:
        fork_server.start()
        confine_reader([*given, request.folder])
        yield fork_server


def _answer(request: IntakeRequest, take: Callable[[], IntakeAnswer]) -> IntakeAnswer:
    """The boundary of the process: whatever is wrong with an upload becomes an answer."""
    error: GreenforkError
    try:
        return take()
    except OutOfMemory as exc:
        error = ScenarioError(exc.message, "too_large")
    except RolloutRejected as exc:
        error = ScenarioError(exc.message, "sumo_refused")
    except RolloutError as exc:
        error = ScenarioError(f"SUMO crashed on it: {exc.message}", "sumo_refused")
    except GreenforkError as exc:
        error = exc
    except (MemoryError, RecursionError):
        error = ScenarioError("it takes more memory than an upload is allowed", "too_large")
    message = error.message.replace(f"{request.folder}/unpacked/", "")
    message = message.replace(f"{request.folder}/", "")
    return IntakeAnswer(error=ErrorInfo.of(type(error)(message, error.code)))


def _take_scenario(request: IntakeRequest, fork_server: ForkServer) -> IntakeAnswer:
    unpacked = request.folder / "unpacked"
    unpacked.mkdir()
    unpack(request.upload, unpacked)
    check_unpacked(unpacked, request.upload.stat().st_size)
    scenario = _read_scenario(unpacked, request.name)
    signals = signals_of(scenario, fork_server)
    manifest = uploaded_manifest(scenario, signals)
    layout = DatasetLayout(request.folder)
    scenario.write(layout.scenario)
    layout.states.mkdir()
    layout.index.touch()
    text = manifest.model_dump_json(indent=2) + "\n"
    if len(text) > _MAX_MANIFEST_CHARS:
        raise ScenarioError(
            f"its signals have more than {_MAX_MANIFEST_CHARS} characters of programs and lanes; "
            "reduce the network to the signals to decide",
            "too_large",
        )
    layout.manifest.write_text(text)
    shutil.rmtree(unpacked)
    return IntakeAnswer(manifest=manifest)


def _read_scenario(folder: Path, name: str | None) -> Scenario:
    if name is not None:
        return load_bundle(folder, name)
    configs = sorted(path for path in folder.rglob("*.sumocfg") if path.is_file())
    if len(configs) != 1:
        found = ", ".join(str(path.relative_to(folder)) for path in configs[:5]) or "none"
        raise ScenarioError(f"it must contain exactly one .sumocfg; found {found}", "bad_archive")
    return load_scenario(configs[0], within=folder)


def _take_state(request: IntakeRequest, fork_server: ForkServer) -> IntakeAnswer:
    assert request.dataset is not None, "a state belongs to a scenario"  # noqa: S101
    given = request.upload.read_bytes()
    state = read_foreign_state(given, min(request.max_state_bytes, most_bytes(len(given))))
    layout, manifest = DatasetLayout(request.dataset), read_manifest(request.dataset)
    draft = request.folder / "state.xml"
    scenario = layout.scenario.resolve()
    demand = Demand(scenario)
    content, read = demand.settle(state.content)
    draft.write_bytes(content)
    name = manifest.scenario.name
    files = SimulationSpec(name, scenario, demand, request.seed, request.scale)
    with (
        files.restoring(draft, read, request.folder / "again") as opening,
        fork_server.open(opening, _LIMIT_S) as holder,
    ):
        seen = holder.call(Observe(tls_ids=()), Observed, _LIMIT_S)
    if abs(seen.time_s - state.time_s) > _EQUAL_S:
        raise StateFileError(
            f"its time is {state.time_s:g} s, but SUMO loads it as {seen.time_s:g} s"
        )
    record = StateRecord(
        state_id=make_state_id(name, seen.time_s, content),
        scenario_id=manifest.scenario.scenario_id,
        time_s=seen.time_s,
        seed=request.seed,
        scale=request.scale,
        run=run_name(request.seed, request.scale),
        restore="unverified",
        read=read,
        verified_s=0,
        simulator=simulator(),
        signals=state.signal_states(seen.signals),
    )
    draft.rename(request.folder / f"{record.state_id}.xml")
    return IntakeAnswer(record=record)


if __name__ == "__main__":
    main()
