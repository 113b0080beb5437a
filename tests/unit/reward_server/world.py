"""A small world to score in: a few states of one crossing, and a runner that makes numbers up."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.dataset import BuildReport, DatasetLayout, Manifest, ScenarioRef, SimulationRef
from shared.rewards import Metrics
from shared.signals import Phase, Program, Signal, SignalState
from shared.states import Simulator, StateRecord
from sim_workers.rollouts import RolloutTask
from sim_workers.store import StateStore, StoredState
from sim_workers.version import sumo_version

SIGNAL = Signal(
    tls_id="C",
    incoming_lanes=("n2c_0", "e2c_0"),
    outgoing_lanes=("c2s_0", "c2w_0"),
    programs={
        "0": Program(
            program_id="0",
            kind="static",
            phases=(
                Phase(duration_s=30, state="Gr", green_lanes=("n2c_0",)),
                Phase(duration_s=3, state="yr"),
                Phase(duration_s=30, state="rG", green_lanes=("e2c_0",)),
                Phase(duration_s=3, state="ry"),
            ),
        )
    },
    min_green_s=5,
    max_green_s=60,
)

GREEN = "crossing@900-aaaaaaaaaaaa"
"""A state in which the signal shows green."""
OTHER_GREEN = "crossing@960-bbbbbbbbbbbb"
YELLOW = "crossing@931-cccccccccccc"
"""A state in which there is nothing to extend."""

_PHASES = {GREEN: 0, OTHER_GREEN: 2, YELLOW: 1}


def make_manifest(max_green_s: float = 60, scenario_id: str = "crossing-111111111111") -> Manifest:
    """A dataset's manifest."""
    return Manifest(
        greenfork="0",
        simulator=Simulator(version=sumo_version()),
        scenario=ScenarioRef(
            scenario_id=scenario_id, name="crossing", config="c.sumocfg", dropped_options=()
        ),
        simulation=SimulationRef(command=(), begin_s=0, end_s=3600, seed=1),
        signals={"C": SIGNAL.model_copy(update={"max_green_s": max_green_s})},
        build=BuildReport(states=3, rows=3, passed_over=0, horizon_s=60, extend_s=5),
    )


def make_state(state_id: str, manifest: Manifest | None = None) -> StoredState:
    """One state; its files do not exist."""
    manifest = manifest or make_manifest()
    record = StateRecord(
        state_id=state_id,
        scenario_id=manifest.scenario.scenario_id,
        time_s=900,
        seed=1,
        restore="state",
        verified_s=60,
        simulator=manifest.simulator,
        signals={"C": SignalState(program_id="0", phase=_PHASES[state_id], elapsed_s=12)},
    )
    return StoredState(record, manifest, DatasetLayout(Path("nowhere")))


def make_store(*state_ids: str) -> StateStore:
    """A store of the given states, or of all of them."""
    return StateStore(make_state(state_id) for state_id in state_ids or _PHASES)


def make_metrics(queue_veh: float) -> Metrics:
    """Metrics with a given queue, and a series of three seconds."""
    return Metrics(
        queue_veh=queue_veh,
        queue_veh_max=queue_veh + 1,
        wait_s=3.5,
        speed_mps=None,
        throughput_veh=2,
        pressure_veh=0.5,
        network_queue_veh=queue_veh,
        series=(1, 2, 3),
    )


def queue_of(task: RolloutTask) -> float:
    """The queue that the fake runner gives: 5 left alone, 2 after a yes, 9 after a no."""
    if task.decision is None:
        return 5.0
    return 2.0 if task.decision.extend else 9.0


@dataclass
class Stats:
    """Counts that the fake runner shows."""

    workers: int = 2
    busy: int = 1
    queued: int = 3
    holder_starts: int = 4
    workers_lost: int = 5
    retried: int = 6


@dataclass
class FakeRunner:
    """Answers at once, unless ``gate`` is closed; ``fail`` may raise or change the answer."""

    fail: Callable[[RolloutTask], Metrics | None] = lambda task: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: Counter[RolloutTask] = field(default_factory=Counter)
    timeouts_s: list[float] = field(default_factory=list)
    ended: int = 0
    """Rollouts that were cancelled."""

    _begun: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    async def has_begun(self, runs: int) -> None:
        """Returns when so many rollouts were asked for."""
        async with self._begun:
            await self._begun.wait_for(lambda: self.runs.total() >= runs)

    async def run(self, task: RolloutTask, timeout_s: float, is_urgent: bool = False) -> Metrics:
        """One rollout."""
        self.runs[task] += 1
        self.timeouts_s.append(timeout_s)
        async with self._begun:
            self._begun.notify_all()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        return self.fail(task) or make_metrics(queue_of(task))

    def stats(self) -> Stats:
        """Counts."""
        return Stats()
