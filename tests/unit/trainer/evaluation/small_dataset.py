"""A dataset folder of one junction, whose outcomes and lanes are what a test says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.dataset import (
    BuildReport,
    DatasetLayout,
    Manifest,
    Outcome,
    Row,
    ScenarioRef,
    SimulationRef,
)
from shared.decisions import DecisionKind, Extend, NextPhase
from shared.language.prompts import LaneCounts, build_prompt
from shared.rewards import Metrics
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.states import Simulator, StateRecord

__all__ = ["SIGNAL", "Moment", "metrics", "save_dataset"]

SIGNAL = Signal(
    tls_id="C",
    incoming_lanes=("n_0", "e_0"),
    outgoing_lanes=("s_0", "w_0"),
    programs={
        "0": Program(
            program_id="0",
            kind="static",
            phases=(
                Phase(duration_s=30, state="Gr", green_lanes=("n_0",), exit_lanes=("s_0",)),
                Phase(duration_s=3, state="yr"),
                Phase(duration_s=20, state="rG", green_lanes=("e_0",), exit_lanes=("w_0",)),
                Phase(duration_s=3, state="ry"),
            ),
        )
    },
    min_green_s=5,
    max_green_s=60,
)


@dataclass(frozen=True)
class Moment:
    """A decision point: phase 0 is green, and lasts 12 s already."""

    yes_veh: float | None = 4.0
    """The mean queue after a yes; None where nothing was rolled out."""
    no_veh: float = 3.0
    run: str = "seed1"
    queued: tuple[int, int] = (0, 0)
    """On the lanes of phases 0 and 2."""
    approaching: tuple[int, int] = (0, 0)
    leaving: tuple[int, int] = (0, 0)
    """On the lanes that these lead to."""
    difficulty: float = 0.5
    kind: DecisionKind = "extend"
    more: Mapping[str, float] = field(default_factory=dict)
    """Other metrics of both decisions."""

    def outcomes(self, extend_s: int) -> tuple[Outcome, ...] | None:
        """Of both decisions; of both greens, where a phase is asked for."""
        if self.yes_veh is None:
            return None
        first: Extend | NextPhase = Extend(extend=True, extend_s=extend_s)
        second: Extend | NextPhase = Extend(extend=False)
        if self.kind == "phase":
            first, second = (NextPhase(next_phase=phase, green_s=20) for phase in (0, 2))
        return (
            Outcome(decision=first, metrics=metrics(self.yes_veh, self.more)),
            Outcome(decision=second, metrics=metrics(self.no_veh, self.more)),
        )


def metrics(queue_veh: float, more: Mapping[str, float] | None = None) -> Metrics:
    """A rollout of which little matters but the queue."""
    values = {
        "queue_veh": queue_veh,
        "queue_veh_max": queue_veh,
        "wait_s": 10 * queue_veh,
        "throughput_veh": 3.0,
        "pressure_veh": 0.0,
        "network_queue_veh": queue_veh,
    }
    return Metrics(**{**values, **(more or {})})


def save_dataset(
    root: Path,
    moments: Sequence[Moment],
    name: str = "net",
    extend_s: int = 5,
    horizon_s: int = 60,
) -> Path:
    """Writes a dataset whose held-out rows are these, and which has no others."""
    layout = DatasetLayout(root)
    layout.states.mkdir(parents=True)
    rows, records = [], []
    for number, moment in enumerate(moments):
        record = _record(name, number, moment)
        layout.state_file(record.state_id).write_text(_state(moment))
        records.append(record.model_dump_json())
        rows.append(_row(record, moment, extend_s).model_dump_json(exclude_none=True))
    layout.rows("train").write_text("")
    layout.rows("eval").write_text("".join(f"{row}\n" for row in rows))
    layout.index.write_text("".join(f"{record}\n" for record in records))
    layout.manifest.write_text(_manifest(name, extend_s, horizon_s).model_dump_json())
    return root


def _record(name: str, number: int, moment: Moment) -> StateRecord:
    return StateRecord(
        state_id=f"{name}@{number}-0123456789ab",
        scenario_id=f"{name}-0123456789ab",
        time_s=number,
        seed=1,
        run=moment.run,
        restore="state",
        verified_s=60,
        simulator=Simulator(version="0"),
        signals={"C": SignalState(program_id="0", phase=0, elapsed_s=12)},
    )


def _row(record: StateRecord, moment: Moment, extend_s: int) -> Row:
    counts = {
        phase: LaneCounts(queued=queued, approaching=approaching, passed=0)
        for phase, queued, approaching in zip(
            (0, 2), moment.queued, moment.approaching, strict=True
        )
    }
    state = record.signals["C"]
    return Row(
        prompt=build_prompt(moment.kind, SIGNAL, state, counts, extend_s),
        state_id=record.state_id,
        scenario=record.scenario_id,
        tls_id="C",
        decision_kind=moment.kind,
        current_phase=state.phase,
        elapsed_green_s=state.elapsed_s,
        min_green_s=SIGNAL.min_green_s,
        max_green_s=SIGNAL.max_green_s,
        time_s=record.time_s,
        seed=1,
        restore="state",
        difficulty=moment.difficulty,
        outcomes=moment.outcomes(extend_s),
    )


def _state(moment: Moment) -> str:
    incoming = [sum(pair) for pair in zip(moment.queued, moment.approaching, strict=True)]
    vehicles = dict(zip(("n_0", "e_0", "s_0", "w_0"), (*incoming, *moment.leaving), strict=True))
    lanes = "".join(
        f'<lane id="{lane}">\n<vehicles value="{" ".join(["v"] * count)}"/>\n</lane>'
        for lane, count in vehicles.items()
        if count
    )
    return f'<snapshot version="0" time="1">{lanes}</snapshot>'


def _manifest(name: str, extend_s: int, horizon_s: int) -> Manifest:
    simulation = SimulationRef(run="seed1", command=(), begin_s=0, end_s=9, seed=1)
    return Manifest(
        greenfork="0",
        simulator=Simulator(version="0"),
        scenario=ScenarioRef(
            scenario_id=f"{name}-0123456789ab", name=name, config="", dropped_options=()
        ),
        simulation=simulation,
        simulations=(simulation,),
        signals={"C": SIGNAL},
        build=BuildReport(states=1, rows=1, replayed=0, horizon_s=horizon_s, extend_s=extend_s),
    )
