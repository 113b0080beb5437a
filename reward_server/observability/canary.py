"""Readiness: one state is really scored, and must give the number it gave before."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from reward_server.runner import RolloutRunner
from reward_server.scoring.rollout_plan import outcome_key
from reward_server.scoring.single_flight import check_finite
from reward_server.storage.ledger import Ledger, LedgerEntry
from shared.errors import GreenforkError, NotReady
from shared.wire.states import Simulator
from sim_workers.pool.fair_queue import Flow, Purpose
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.states.store import StateStore, StoredState

__all__ = ["Canary"]

_HORIZON_S = 10
_TIMEOUT_S = 20.0
_PURPOSE = Purpose(Flow("canary"), "canary", is_urgent=True)


@dataclass(frozen=True)
class _Verdict:
    at_s: float
    problem: str | None
    code: str | None = None


class Canary:
    """Rolls one state out through the runner, whatever the ledger knows.

    Args:
        store: The earliest of its states is the canary.
        runner: What is tried.
        ledger: Holds what the canary gave the first time.
        simulator: The program that computes the outcome.
        remember_s: Seconds for which a verdict stands, so that probes are no load.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        store: StateStore,
        runner: RolloutRunner,
        ledger: Ledger,
        simulator: Simulator,
        remember_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._runner = runner
        self._ledger = ledger
        self._simulator = simulator
        self.remember_s = remember_s
        self._clock = clock
        self._verdict: _Verdict | None = None
        self._has_replayed = False
        self._lock = asyncio.Lock()

    async def check(self) -> None:
        """Returns if the service can score.

        Raises:
            NotReady: It cannot, and why.
        """
        async with self._lock:
            verdict = self._verdict
            if verdict is None or self._clock() - verdict.at_s >= self.remember_s:
                verdict = self._verdict = await self._try()
        if verdict.problem is not None:
            raise NotReady(verdict.problem, verdict.code)

    async def _try(self) -> _Verdict:
        singers = (state for state in self._store if _signals(state))
        state = min(singers, key=lambda state: state.record.time_s, default=None)
        if state is None:
            return _Verdict(self._clock(), "no state is served")
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._sing(state)
        except TimeoutError:
            return _Verdict(self._clock(), f"the canary did not finish within {_TIMEOUT_S:g} s")
        except GreenforkError as exc:
            return _Verdict(self._clock(), exc.message, exc.code)
        return _Verdict(self._clock(), None)

    async def _sing(self, state: StoredState) -> None:
        """Rolls the program left alone out: from the state's file, and once along its run."""
        record, signal = state.record, _signals(state)[0]
        end_s = state.manifest.scenario.end_s
        room_s = None if end_s is None else math.floor(end_s - record.time_s)
        short_s = _HORIZON_S if room_s is None else max(1, min(_HORIZON_S, room_s))
        await self._compare(RolloutTask.of(record.state_id, signal, None, short_s), state)
        unproven_s = record.verified_s + 1
        if not self._has_replayed and (room_s is None or unproven_s <= room_s):
            task = RolloutTask.of(record.state_id, signal, None, unproven_s)
            await self._compare(task, state)
            self._has_replayed = True

    async def _compare(self, task: RolloutTask, state: StoredState) -> None:
        """Rolls out and compares with the record."""
        key = outcome_key(task, state, self._simulator.version)
        rolled = await self._runner.run(task, _TIMEOUT_S, _PURPOSE)
        metrics = rolled.metrics
        check_finite(metrics)
        recorded = (await self._ledger.get_many([key])).get(key)
        if recorded is None:
            simulator = f"{self._simulator.name} {self._simulator.version}"
            await self._ledger.put_many([LedgerEntry(key, task, metrics, simulator)])
        elif recorded != metrics:
            raise NotReady(
                f"state {task.state_id} gives an outcome other than the recorded one: no reward "
                "of this service can be trusted",
                "canary_differs",
            )


def _signals(state: StoredState) -> list[str]:
    """The signals that can be scored in a state."""
    return sorted(state.record.signals.keys() & state.manifest.signals.keys())
