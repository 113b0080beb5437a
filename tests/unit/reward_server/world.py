"""A small world to score in: a few states of one crossing, and a runner that makes numbers up."""

import asyncio
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import pytest

from shared.dataset import BuildReport, DatasetLayout, Manifest, ScenarioRef, SimulationRef
from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.rewards import Metrics
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.states import Simulator, StateRecord
from sim_workers.engine.version import sumo_version
from sim_workers.pool.fair_queue import Flow, Purpose
from sim_workers.pool.rollouts import Rolled, RolloutTask
from sim_workers.states.store import StateStore, StoredState

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
    run = SimulationRef(run="seed1", command=(), begin_s=0, end_s=3600, seed=1)
    return Manifest(
        greenfork="0",
        simulator=Simulator(version=sumo_version()),
        scenario=ScenarioRef(
            scenario_id=scenario_id, name="crossing", config="c.sumocfg", dropped_options=()
        ),
        simulation=run,
        simulations=(run,),
        signals={"C": SIGNAL.model_copy(update={"max_green_s": max_green_s})},
        build=BuildReport(states=3, rows=3, replayed=0, horizon_s=60, extend_s=5),
    )


def make_state(state_id: str, manifest: Manifest | None = None) -> StoredState:
    """One state; its files do not exist."""
    manifest = manifest or make_manifest()
    record = StateRecord(
        state_id=state_id,
        scenario_id=manifest.scenario.scenario_id,
        time_s=900,
        seed=1,
        run="seed1",
        restore="state",
        verified_s=60,
        proven={"C": "extend"},
        simulator=manifest.simulator,
        signals={"C": SignalState(program_id="0", phase=_PHASES[state_id], elapsed_s=12)},
    )
    return StoredState(record, manifest, DatasetLayout(Path("nowhere")))


def make_store(*state_ids: str) -> StateStore:
    """A store of the given states, or of all of them."""
    return StateStore(make_state(state_id) for state_id in state_ids or _PHASES)


GRID = "grid@300-dddddddddddd"
"""A state with three signals, A0 and A1 at a green, B0 at a yellow."""
_GRID_PHASES = {"A0": 0, "A1": 2, "B0": 1}


def make_grid(max_green_s: float = 60) -> StoredState:
    """A state with several signals."""
    limited = {"max_green_s": max_green_s}
    signals = {t: SIGNAL.model_copy(update=limited | {"tls_id": t}) for t in _GRID_PHASES}
    manifest = make_manifest().model_copy(update={"signals": signals})
    known = {
        tls_id: SignalState(program_id="0", phase=phase, elapsed_s=12)
        for tls_id, phase in _GRID_PHASES.items()
    }
    record = make_state(GREEN).record.model_copy(update={"state_id": GRID, "signals": known})
    return StoredState(record, manifest, DatasetLayout(Path("nowhere")))


def make_metrics(queue_veh: float, speed_mps: float | None = None) -> Metrics:
    """Metrics with a given queue, and a series of three seconds."""
    return Metrics(
        queue_veh=queue_veh,
        queue_veh_max=queue_veh + 1,
        wait_s=3.5,
        speed_mps=speed_mps,
        throughput_veh=2,
        pressure_veh=0.5,
        network_queue_veh=queue_veh,
        series=(1, 2, 3),
    )


def queue_of(task: RolloutTask) -> float:
    """The queue that the fake runner gives: 5 left alone, 2 after a yes, 9 after a no.

    Decisions at several signals add up, a seed adds itself, and max-pressure control takes 1 away.
    """
    if not task.decisions:
        return 5.0 + (task.reseed or 0)
    followed = 1.0 if task.follow_up == "max_pressure" else 0.0
    return sum(_queue(decision) for _, decision in task.decisions) + (task.reseed or 0) - followed


def _queue(decision: Decision) -> float:
    match decision:
        case Extend():
            return 2.0 if decision.extend else 9.0
        case NextPhase():
            return decision.next_phase + decision.green_s / 10
        case Cycle():
            return sum(green.green_s for green in decision.greens) / 10
        case Plan():
            return 1.0 + sum(not step.extend for step in decision.steps)
    assert_never(decision)


def says_no(task: RolloutTask) -> bool:
    """Whether the decision, or one of them, is a no."""
    return any(isinstance(d, Extend) and not d.extend for _, d in task.decisions)


@dataclass
class Stats:
    """Counts that the fake runner shows."""

    workers: int = 2
    busy: int = 1
    queued: int = 3
    oldest_s: float = 1.5
    holder_starts: int = 4
    workers_lost: int = 5
    retried: int = 6


def let_time_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Sets the running loop's clock forward: deadlines pass that no slow machine comes near."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


@dataclass
class FakeRunner:
    """Answers at once, unless ``gate`` is closed; ``fail`` may raise or change the answer."""

    fail: Callable[[RolloutTask], Metrics | None] = lambda task: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: Counter[RolloutTask] = field(default_factory=Counter)
    timeouts_s: list[float] = field(default_factory=list)
    purposes: list[Purpose] = field(default_factory=list)
    promoted: dict[RolloutTask, Flow] = field(default_factory=dict)
    ended: int = 0
    """Rollouts that were cancelled."""

    _begun: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    async def has_begun(self, runs: int) -> None:
        """Returns when so many rollouts were asked for."""
        async with asyncio.timeout(20), self._begun:
            await self._begun.wait_for(lambda: self.runs.total() >= runs)

    async def run(self, task: RolloutTask, timeout_s: float, purpose: Purpose) -> Rolled:
        """One rollout."""
        self.runs[task] += 1
        self.purposes.append(purpose)
        self.timeouts_s.append(timeout_s)
        async with self._begun:
            self._begun.notify_all()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        return Rolled(self.fail(task) or make_metrics(queue_of(task)), waited_s=0.25, ran_s=0.5)

    def promote(self, tasks: Set[RolloutTask], flow: Flow) -> None:
        """Remembers which flow wanted more of a hurry."""
        self.promoted |= dict.fromkeys(tasks, flow)

    def stats(self) -> Stats:
        """Counts."""
        return Stats()
