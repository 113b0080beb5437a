"""Six ways to roll a decision out from a saved state, each behind one method.

A way runs in a process of its own (libsumo is one simulation per process) and answers requests over
a pipe: some rollouts in a row, the wall time of each in ms, and the queue each saw.
"""

import asyncio
import contextlib
import importlib.util
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.dataset import DatasetLayout
from shared.decisions import Extend
from sim_workers.engine.messages import Rollout
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.pool.rollout import files_of, make_rollout
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.store import StateStore
from sim_workers.states.unread_demand import Demand

__all__ = ["WAYS", "Case", "Measured", "sumo_binary"]

_READY_LIMIT_S = 120.0


@dataclass(frozen=True)
class Case:
    """What is rolled out: a decision at one signal of a saved state."""

    dataset: Path
    state_id: str
    tls_id: str
    config: Path
    """The configuration that continues the state."""
    state_file: Path
    seed: int
    remaining_s: float
    """The decision in SUMO's terms."""
    horizon_s: int

    @classmethod
    def of(cls, dataset: Path, row: dict[str, Any], horizon_s: int, extend: bool = True) -> "Case":
        """The decision to extend, or not to, at a row of a dataset."""
        layout = DatasetLayout(dataset)
        restoring = Path(tempfile.mkdtemp(prefix="greenfork-bench-")) / "restoring"
        state = StateStore.open([dataset]).get(row["state_id"])
        decision = Extend(extend=extend)
        return cls(
            dataset=dataset,
            state_id=row["state_id"],
            tls_id=row["tls_id"],
            config=Demand(layout.scenario).write_restoring(restoring, state.record.read or {}),
            state_file=layout.state_file(row["state_id"]),
            seed=row["seed"],
            remaining_s=decision.remaining_s(
                row["elapsed_green_s"], row["min_green_s"], row["max_green_s"]
            ),
            horizon_s=horizon_s,
        )

    @classmethod
    def from_text(cls, texts: dict[str, str]) -> "Case":
        """What was written as text, field by field."""
        kinds = {"remaining_s": float, "horizon_s": int, "seed": int}
        kinds |= dict.fromkeys(("dataset", "config", "state_file"), Path)
        return cls(**{name: kinds.get(name, str)(text) for name, text in texts.items()})

    def arguments(self) -> list[str]:
        """Arguments for SUMO that restore the state."""
        quiet = ["--no-step-log", "true", "--no-warnings", "true"]
        saved = ["--save-state.rng", "true", "--save-state.transportables", "true"]
        restore = ["--load-state", str(self.state_file)]
        return ["-c", str(self.config), "--seed", str(self.seed), *quiet, *saved, *restore]


@dataclass(frozen=True)
class Measured:
    """One rollout."""

    wall_ms: float
    queue_sum: int
    """The queue summed over the seconds of the horizon: equal rollouts have equal sums."""


def sumo_binary() -> str:
    """The ``sumo`` program of the installed eclipse-sumo package."""
    spec = importlib.util.find_spec("sumo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the benchmark needs the sumo program: pip install eclipse-sumo")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "sumo")


class Way(ABC):
    """A way to roll out."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @abstractmethod
    def rollout(self) -> Measured:
        """Rolls out once."""

    def close(self) -> None:  # noqa: B027  most ways leave nothing running
        """Ends what was started."""


class Bare(Way):
    """The stepping alone, in a fresh simulator that has loaded the state: the floor."""

    def rollout(self) -> Measured:
        """Only the steps are timed; the process and its loading are not."""
        command = [sys.executable, "-m", "benchmarks.bare", str(self.case.remaining_s)]
        command += [self.case.tls_id, str(self.case.horizon_s), *self.case.arguments()]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return Measured(float(words[-2]), int(words[-1]))


class FreshTraci(Way):
    """A new SUMO process a rollout, spoken to over TraCI."""

    def rollout(self) -> Measured:
        """Start, load, step, end."""
        import traci

        start_s = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            traci.start([sumo_binary(), *self.case.arguments()])
        queue = decide_and_step(traci, self.case)
        traci.close()
        return Measured((time.perf_counter() - start_s) * 1000, queue)


class ReloadedTraci(Way):
    """One SUMO process, ``loadState`` before each rollout."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        import traci

        self._sumo: Any = traci
        with contextlib.redirect_stdout(sys.stderr):
            traci.start([sumo_binary(), *case.arguments()])

    def rollout(self) -> Measured:
        """Load, step."""
        start_s = time.perf_counter()
        self._sumo.simulation.loadState(str(self.case.state_file))
        queue = decide_and_step(self._sumo, self.case)
        return Measured((time.perf_counter() - start_s) * 1000, queue)

    def close(self) -> None:
        """Ends SUMO."""
        self._sumo.close()


class ReloadedLibsumo(ReloadedTraci):
    """The same inside one process."""

    def __init__(self, case: Case) -> None:
        Way.__init__(self, case)
        import libsumo

        self._sumo = libsumo
        libsumo.start(["sumo", *case.arguments()])


class Held(Way):
    """Our engine alone: a holder and its forks, all metrics, no pool."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        store = StateStore.open([case.dataset])
        self._worker = StateWorker(WorkerLimits(60, 8, 4000))
        self._rollout = _rollout(case, store)
        files = files_of(store.get(case.state_id), self._rollout)
        self._worker.run([self._rollout], files)

    def rollout(self) -> Measured:
        """One rollout by the worker, which is in this process."""
        start_s = time.perf_counter()
        outcomes = self._worker.run([self._rollout])
        wall_ms = (time.perf_counter() - start_s) * 1000
        assert outcomes is not None, "the worker was given the files"  # noqa: S101
        return Measured(wall_ms, sum(outcomes[0].unwrap().series or ()))

    def close(self) -> None:
        """Ends the holder."""
        self._worker.close()


class Forked(Way):
    """Ours, through the pool with one worker: Ray call, holder, fork, all metrics."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._loop = asyncio.new_event_loop()
        store = StateStore.open([case.dataset])
        self._rollout = _rollout(case, store)
        self._pool = RolloutPool(store, PoolSettings(1, None, 60, 8, 4000))
        self._loop.run_until_complete(self._start())

    def rollout(self) -> Measured:
        """One rollout to the pool and back."""
        start_s = time.perf_counter()
        metrics = self._loop.run_until_complete(self._pool.run(self._rollout)).unwrap()
        return Measured((time.perf_counter() - start_s) * 1000, sum(metrics.series or ()))

    def close(self) -> None:
        """Ends the worker and Ray."""
        self._loop.run_until_complete(self._pool.close())

    async def _start(self) -> None:
        await self._pool.start()
        async with asyncio.timeout(_READY_LIMIT_S):
            while self._pool.stats().workers == 0:  # noqa: ASYNC110  once, before anything is timed
                await asyncio.sleep(0.05)


WAYS: dict[str, type[Way]] = {
    "bare stepping": Bare,
    "greenfork, engine alone": Held,
    "greenfork, through the pool": Forked,
    "fresh TraCI process": FreshTraci,
    "reloading TraCI": ReloadedTraci,
    "reloading libsumo": ReloadedLibsumo,
}


def _rollout(case: Case, store: StateStore) -> Rollout:
    decisions = {case.tls_id: Extend(extend=True)}
    rollout = make_rollout(store.get(case.state_id), decisions, case.horizon_s)
    return rollout.model_copy(update={"limit_s": 60, "source": "file"})


def decide_and_step(sumo: Any, case: Case) -> int:  # noqa: ANN401  traci and libsumo alike
    """Carries out the decision and sums the queue over the horizon."""
    lanes: Sequence[str] = tuple(dict.fromkeys(sumo.trafficlight.getControlledLanes(case.tls_id)))
    sumo.trafficlight.setPhaseDuration(case.tls_id, case.remaining_s)
    queue = 0
    for _ in range(case.horizon_s):
        sumo.simulationStep()
        queue += sum(sumo.lane.getLastStepHaltingNumber(lane) for lane in lanes)
    return queue
