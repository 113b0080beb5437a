"""A dataset written by hand: two states of one signal, without any simulation."""

import hashlib
from pathlib import Path

from shared.dataset import (
    Action,
    BuildReport,
    DatasetLayout,
    Manifest,
    ScenarioRef,
    SimulationRef,
)
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.states import Simulator, StateRecord
from sim_workers.engine.version import simulator, sumo_version

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


def write_actions(root: Path, actions: tuple[Action, ...]) -> Path:
    """Lets a policy have done this in the dataset's run."""
    layout = DatasetLayout(root)
    path = layout.actions("seed1")
    path.parent.mkdir()
    path.write_text("".join(f"{action.model_dump_json()}\n" for action in actions))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changes = {"actions": "actions/seed1.jsonl", "actions_sha256": digest}
    run = _manifest().simulation.model_copy(update=changes)
    manifest = _manifest().model_copy(update={"simulation": run, "simulations": (run,)})
    layout.manifest.write_text(manifest.model_dump_json())
    return path


def write_replayed(root: Path, state_id: str, anchor: str | None) -> None:
    """Lets a state be brought back by a replay."""
    index = DatasetLayout(root).index
    records = [StateRecord.model_validate_json(line) for line in index.read_text().splitlines()]
    changes = {"restore": "replay", "anchor": anchor}
    index.write_text(
        "".join(
            f"{(r.model_copy(update=changes) if r.state_id == state_id else r).model_dump_json()}\n"
            for r in records
        )
    )


def _write_state(layout: DatasetLayout, time_s: int) -> StateRecord:
    content = state_content(time_s)
    state_id = f"town@{time_s}-{hashlib.sha256(content).hexdigest()[:12]}"
    layout.state_file(state_id).write_bytes(content)
    return StateRecord(
        state_id=state_id,
        scenario_id=SCENARIO_ID,
        time_s=time_s,
        seed=1,
        run="seed1",
        restore="state",
        verified_s=60,
        proven={"c": "extend"},
        simulator=simulator(),
        signals={"c": SignalState(program_id="0", phase=0, elapsed_s=9)},
    )


def _manifest() -> Manifest:
    phases = (
        Phase(duration_s=30, state="Gr", green_lanes=("n",)),
        Phase(duration_s=3, state="yr"),
        Phase(duration_s=30, state="rG", green_lanes=("e",)),
        Phase(duration_s=3, state="ry"),
    )
    signal = Signal(
        tls_id="c",
        incoming_lanes=("n", "e"),
        outgoing_lanes=("s",),
        programs={"0": Program(program_id="0", kind="static", phases=phases)},
        min_green_s=5,
        max_green_s=60,
    )
    run = SimulationRef(run="seed1", command=(), begin_s=0, end_s=3600, seed=1)
    return Manifest(
        greenfork="0",
        simulator=Simulator(version=sumo_version()),
        scenario=ScenarioRef(
            scenario_id=SCENARIO_ID, name="town", config="scenario/x.sumocfg", dropped_options=()
        ),
        simulation=run,
        simulations=(run,),
        signals={"c": signal},
        build=BuildReport(states=2, rows=2, replayed=0, horizon_s=60, extend_s=5),
    )
