"""The engine without anything around it: workers in threads, each with its share of the states."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.language.completions import parse_completion
from sim_workers.pool.rollout import files_of, make_rollout
from sim_workers.pool.worker import StateWorker, WorkerLimits
from sim_workers.states.store import StateStore, StoredState

__all__ = ["engine_alone_s"]

_LIMITS = WorkerLimits(rollout_timeout_s=60, max_holders=16, max_holder_memory_mb=4096)


def engine_alone_s(
    dataset: Path, completions: Sequence[str], horizon_s: int, workers: int
) -> float:
    """Wall seconds for every distinct rollout: each completion of each state, and its reference.

    The workers are there before, as those of a service are, and hold nothing yet.
    """
    states = list(StateStore.open([dataset]))
    engines = [StateWorker(_LIMITS) for _ in range(workers)]
    try:
        for engine in engines:
            _roll_out(engine, states[0], completions, 1)
        with ThreadPoolExecutor(workers) as threads:
            begin_s = time.perf_counter()
            shares = [
                threads.submit(
                    _roll_out_all, engine, states[1 + n :: workers], completions, horizon_s
                )
                for n, engine in enumerate(engines)
            ]
            shares.append(threads.submit(_roll_out, engines[-1], states[0], completions, horizon_s))
            for share in shares:
                share.result()
            return time.perf_counter() - begin_s
    finally:
        for engine in engines:
            engine.close()


def _roll_out_all(
    engine: StateWorker, states: Sequence[StoredState], completions: Sequence[str], horizon_s: int
) -> None:
    for state in states:
        _roll_out(engine, state, completions, horizon_s)


def _roll_out(
    engine: StateWorker, state: StoredState, completions: Sequence[str], horizon_s: int
) -> None:
    rollouts = [
        make_rollout(state, {tls_id: decision}, horizon_s).model_copy(update={"limit_s": 600})
        for tls_id in sorted(state.record.signals)[:1]
        for decision in (None, *(parse_completion(text, "extend") for text in completions))
    ]
    outcomes = engine.run(rollouts, files_of(state, rollouts[0])) or ()
    failures = [outcome.error for outcome in outcomes if outcome.error]
    assert outcomes, "the engine was given the files"  # noqa: S101
    assert not failures, failures  # noqa: S101
