"""A small world to score in: a few states of one crossing, and a runner that makes numbers up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import pytest

from reward_server.http.routes.examples import SIGNAL
from reward_server.scoring.single_flight import Work
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import parse_database_url
from shared.dataset import BuildReport, DatasetLayout, Manifest, ScenarioRef, SimulationRef
from shared.decisions import Cycle, Decision, Extend, NextPhase, Plan
from shared.errors import DeadlineExceeded, GreenforkError
from shared.rewards import DomainMetrics, Metrics
from shared.signals import SignalState
from shared.wire.states import Simulator, StateRecord
from shared.wire.viewing.traces import Trace
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.engine.version import sumo_version
from sim_workers.pool.fair_queue import Flow, PoolStats
from sim_workers.pool.rollout import make_rollout
from sim_workers.pool.tasks import Task
from sim_workers.states.store import StateStore, StoredState

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


def make_metrics(
    queue_veh: float, speed_mps: float | None = None, delay_veh: float | None = 7.25
) -> Metrics:
    """Metrics with a given queue, and a series of three seconds."""
    return Metrics(
        queue_veh=queue_veh,
        queue_veh_max=queue_veh + 1,
        wait_s=3.5,
        speed_mps=speed_mps,
        throughput_veh=2,
        pressure_veh=0.5,
        network_queue_veh=queue_veh,
        delay_veh=delay_veh,
        series=(1, 2, 3),
    )


def make_trace(metrics: Metrics) -> Trace:
    """A vehicle that drives north for three seconds."""
    return Trace(
        time_s=900,
        box=(0, 0, 100, 100),
        vehicles=("a",),
        lengths_dm=(50,),
        frames=tuple((0, 500, 100 * second, 0, 100) for second in range(4)),
        omitted_veh=0,
        signals={"C": ("GGrr",) * 4},
        queue_veh=metrics.series or (),
    )


def queue_of(rollout: Rollout) -> float:
    """The queue that the fake runner gives: 5 left alone, 2 after a yes, 9 after a no.

    Decisions at several signals add up, a seed adds itself, and max-pressure control takes 1 away.
    """
    if not rollout.signal_decisions:
        return 5.0 + (rollout.reseed or 0)
    followed = 1.0 if rollout.follow_up == "max_pressure" else 0.0
    decided = sum(_queue(one.decision) for one in rollout.signal_decisions)
    return decided + (rollout.reseed or 0) - followed


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


def says_no(rollout: Rollout) -> bool:
    """Whether the decision, or one of them, is a no."""
    decisions = (one.decision for one in rollout.signal_decisions)
    return any(isinstance(d, Extend) and not d.extend for d in decisions)


Recorded = tuple[str, Rollout, Metrics, str]
"""An outcome as :meth:`reward_server.storage.ledger.Ledger.record` takes it."""


def outcome(key: str, queue_veh: float = 0.1) -> Recorded:
    """An outcome under any key."""
    rollout = make_rollout(make_state(GREEN), {"C": Extend(extend=True)}, 60)
    return key, rollout, make_metrics(queue_veh), "sumo 1.28.0"


@asynccontextmanager
async def opened_ledger(url: str) -> AsyncIterator[Ledger]:
    """A ledger in a database of its own, closed in the end."""
    database = Database(parse_database_url(url))
    await database.start()
    ledger = Ledger(database)
    try:
        yield ledger
    finally:
        await ledger.close()
        await database.close()


async def record_all(ledger: Ledger, outcomes: Iterable[Recorded]) -> None:
    """Records outcomes together; raises what went wrong with any, when all is over."""
    records = (ledger.record(*outcome) for outcome in outcomes)
    for error in await asyncio.gather(*records, return_exceptions=True):
        if error is not None:
            raise error


def let_time_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Sets the running loop's clock forward: deadlines pass that no slow machine comes near."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


class Clock:
    """Stands still until it is moved, seconds."""

    now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@dataclass
class FakeRunner:
    """Answers at once, unless ``gate`` is closed; ``fail`` may raise or change the answer."""

    fail: Callable[[Rollout], Metrics | None] = lambda rollout: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: Counter[Rollout] = field(default_factory=Counter)
    """As :func:`sim_workers.pool.rollout.make_rollout` makes them."""
    limits_s: list[float] = field(default_factory=list)
    flows: list[tuple[Flow, str]] = field(default_factory=list)
    """Whose turn each took, and the id of the request."""
    promoted: dict[str, Flow] = field(default_factory=dict)
    """By the id of the request that asked first."""
    tasks: list[Task] = field(default_factory=list)
    ended: int = 0
    """Rollouts that were cancelled, or ran into their limit."""

    _begun: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    async def has_begun(self, runs: int) -> None:
        """Returns when so many rollouts were asked for."""
        async with asyncio.timeout(20), self._begun:
            await self._begun.wait_for(lambda: self.runs.total() >= runs)

    async def run(self, rollout: Work, flow: Flow) -> RolloutOutcome:
        """One rollout, or one task, which finds the length of its text."""
        if isinstance(rollout, Task):
            self.tasks.append(rollout)
            return RolloutOutcome(numbers=DomainMetrics({"length": len(rollout.work)}))
        asked = rollout.model_copy(update={"limit_s": 0, "request_id": ""})
        self.runs[asked] += 1
        self.flows.append((flow, rollout.request_id))
        self.limits_s.append(rollout.limit_s)
        async with self._begun:
            self._begun.notify_all()
        try:
            async with asyncio.timeout(rollout.limit_s):
                await self._opened()
            metrics = self.fail(asked) or make_metrics(queue_of(asked))
        except TimeoutError:
            return RolloutOutcome.failed(DeadlineExceeded("late"))
        except GreenforkError as exc:
            return RolloutOutcome.failed(exc)
        shown = make_trace(metrics) if rollout.is_shown else None
        return RolloutOutcome(metrics=metrics, shown=shown, waited_s=0.25, ran_s=0.5)

    async def _opened(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise

    def promote(self, rollouts: Set[Work], flow: Flow) -> None:
        """Remembers which flow wanted more of a hurry."""
        self.promoted |= {rollout.request_id: flow for rollout in rollouts}

    def stats(self) -> PoolStats:
        """Counts."""
        return PoolStats(
            workers=2,
            busy=1,
            queued=3,
            oldest_s=1.5,
            holder_starts=4,
            workers_lost=5,
            retried=6,
        )
