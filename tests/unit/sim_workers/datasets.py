"""A dataset written by hand: two states of one signal, without any simulation."""

import hashlib
from pathlib import Path

from shared.dataset import BuildReport, DatasetLayout, Manifest, ScenarioRef, SimulationRef
from shared.signals import Phase, Program, Signal, SignalState
from shared.states import Simulator, StateRecord
from sim_workers.version import simulator, sumo_version

SCENARIO_ID = "town-000000000000"


def write_dataset(root: Path, times_s: tuple[int, ...] = (600, 700)) -> list[str]:
    """Writes the dataset and returns the ids of its states."""
    layout = DatasetLayout(root)
    layout.states.mkdir(parents=True)
    layout.manifest.write_text(_manifest().model_dump_json())
    records = [_write_state(layout, time_s) for time_s in times_s]
    layout.index.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    return [record.state_id for record in records]


def state_content(time_s: int, version: str | None = None) -> bytes:
    """A state file of the given version of SUMO; by default of the installed one."""
    return f'<snapshot version="{version or sumo_version()}" time="{time_s}.00"/>'.encode()


def replace_state(root: Path, state_id: str, content: bytes) -> str:
    """Puts other content into a state, with the id that belongs to it."""
    layout = DatasetLayout(root)
    new_id = f"{state_id.rpartition('-')[0]}-{hashlib.sha256(content).hexdigest()[:12]}"
    layout.state_file(state_id).unlink()
    layout.state_file(new_id).write_bytes(content)
    layout.index.write_text(layout.index.read_text().replace(state_id, new_id))
    return new_id


def _write_state(layout: DatasetLayout, time_s: int) -> StateRecord:
    content = state_content(time_s)
    state_id = f"town@{time_s}-{hashlib.sha256(content).hexdigest()[:12]}"
    layout.state_file(state_id).write_bytes(content)
    return StateRecord(
        state_id=state_id,
        scenario_id=SCENARIO_ID,
        time_s=time_s,
        seed=1,
        restore="state",
        verified_s=60,
        simulator=simulator(),
        signals={"c": SignalState(program_id="0", phase=0, elapsed_s=9)},
    )


def _manifest() -> Manifest:
    phases = (Phase(duration_s=30, state="G", green_lanes=("n",)), Phase(duration_s=3, state="y"))
    signal = Signal(
        tls_id="c",
        incoming_lanes=("n",),
        outgoing_lanes=("s",),
        programs={"0": Program(program_id="0", kind="static", phases=phases)},
        min_green_s=5,
        max_green_s=60,
    )
    return Manifest(
        greenfork="0",
        simulator=Simulator(version=sumo_version()),
        scenario=ScenarioRef(
            scenario_id=SCENARIO_ID, name="town", config="scenario/x.sumocfg", dropped_options=()
        ),
        simulation=SimulationRef(command=(), begin_s=0, end_s=3600, seed=1),
        signals={"c": signal},
        build=BuildReport(states=2, rows=2, passed_over=0, horizon_s=60, extend_s=5),
    )
