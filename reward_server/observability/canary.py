"""Readiness check: scores one state and compares the result with its earlier value."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from reward_server.domains.base import ProblemDomain
from reward_server.domains.scoring import task_key
from reward_server.scoring.rollout_plan import outcome_key
from reward_server.scoring.single_flight import RolloutRunner, Work, check_finite, found_in
from reward_server.storage.ledger import Ledger, is_at_odds
from shared.errors import GreenforkError, NotReady
from shared.wire.states import Simulator
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.rollout import make_rollout
from sim_workers.states.store import StateStore, StoredState

__all__ = ["Canary"]

_HORIZON_S = 10
_TIMEOUT_S = 20.0
_FLOW = Flow("canary", is_urgent=True)


class Canary:
    """Rolls out one state through the runner, whatever the ledger knows.

    Args:
        store: The earliest of its states is the canary.
        runner: The runner to check.
        ledger: Holds the canary's first outcome.
        simulator: The program that computes the outcome.
        domains: Those beside traffic: what they serve is tried as well.
        remember_s: Seconds for which a verdict stands, so that probes are no load.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        store: StateStore,
        runner: RolloutRunner,
        ledger: Ledger,
        simulator: Simulator,
        domains: Sequence[ProblemDomain] = (),
        remember_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._runner = runner
        self._ledger = ledger
        self._simulator = simulator
        self._domains = domains
        self.remember_s = remember_s
        self._clock = clock
        self._tried_s: float | None = None
        self._problem: GreenforkError | None = None
        self._has_replayed = False
        self._lock = asyncio.Lock()

    async def check(self) -> None:
        """Returns if the service can score.

        Raises:
            NotReady: It cannot; the message says why.
        """
        async with self._lock:
            if self._tried_s is None or self._clock() - self._tried_s >= self.remember_s:
                self._problem = await self._try()
                self._tried_s = self._clock()
            problem = self._problem
        if problem is not None:
            raise NotReady(problem.message, problem.code)

    async def _try(self) -> GreenforkError | None:
        """Why the service cannot score; None if it can."""
        candidates = (state for state in self._store if _signals(state))
        state = min(candidates, key=lambda state: state.record.time_s, default=None)
        tasks = [(one, task) for one in self._domains if (task := one.canary()) is not None]
        if state is None and not tasks:
            return NotReady("no state is served")
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if state is not None:
                    await self._roll_out(state)
                for domain, task in tasks:
                    limits = {"limit_s": _TIMEOUT_S, "request_id": "canary"}
                    done = task.model_copy(update=limits)
                    await self._compare_with_record(done, task_key(task, domain))
        except TimeoutError:
            return NotReady(f"the canary did not finish within {_TIMEOUT_S:g} s")
        except GreenforkError as exc:
            return exc
        return None

    async def _roll_out(self, state: StoredState) -> None:
        """Rolls out the program left alone: from the state's file, and once by replay."""
        record, signal = state.record, _signals(state)[0]
        end_s = state.manifest.scenario.end_s
        room_s = None if end_s is None else math.floor(end_s - record.time_s)
        short_s = _HORIZON_S if room_s is None else max(1, min(_HORIZON_S, room_s))
        await self._compare(state, signal, short_s)
        unproven_s = record.verified_s + 1
        if not self._has_replayed and (room_s is None or unproven_s <= room_s):
            await self._compare(state, signal, unproven_s)
            self._has_replayed = True

    async def _compare(self, state: StoredState, signal: str, horizon_s: int) -> None:
        """Rolls out the canary, and compares the outcome with the record."""
        rollout = make_rollout(state, {signal: None}, horizon_s).model_copy(
            update={"limit_s": _TIMEOUT_S, "request_id": "canary", "is_forked": True}
        )
        await self._compare_with_record(
            rollout, outcome_key(rollout, state, self._simulator.version)
        )

    async def _compare_with_record(self, rollout: Work, key: str) -> None:
        metrics = found_in(await self._runner.run(rollout, _FLOW))
        check_finite(metrics)
        recorded = (await self._ledger.get_many([key])).get(key)
        if recorded is None:
            simulator = f"{self._simulator.name} {self._simulator.version}"
            await self._ledger.record(key, rollout, metrics, simulator)
        elif is_at_odds(recorded, metrics):
            raise NotReady(
                f"{rollout.state_id} gives an outcome other than the recorded one: no "
                "reward of this service can be trusted",
                "canary_differs",
            )


def _signals(state: StoredState) -> list[str]:
    """The signals that can be scored in a state."""
    return sorted(state.record.signals.keys() & state.manifest.signals.keys())
