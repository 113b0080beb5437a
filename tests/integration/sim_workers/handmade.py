"""Datasets made by hand, without the builder: a run, and moments in it.

Their states are brought back by replaying the run from its begin, which is exact whatever is going
on, so that a comparison with the independent path is one of decisions and metrics alone.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from shared.dataset import (
    Action,
    BuildReport,
    DatasetLayout,
    Manifest,
    ScenarioRef,
    SimulationRef,
)
from shared.signals import Signal, SignalState
from shared.wire.states import StateRecord
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Advance, Describe, Described, Observe, Observed, Open, Ready
from sim_workers.engine.policies import PolicySpec
from sim_workers.engine.version import simulator
from sim_workers.scenarios.scenario import (
    CONFIG_NAME,
    Scenario,
    load_scenario,
    sumo_arguments,
    write_files,
)

__all__ = ["make_dataset"]

_LIMIT_S = 60.0
_SEED = 7
_MIN_GREEN_S, _MAX_GREEN_S = 5, 60
_LENGTH_S = 3600


def make_dataset(
    root: Path,
    config: Path,
    moments_s: Sequence[float],
    policy: PolicySpec = PolicySpec(),  # noqa: B008  frozen
) -> None:
    """Writes a dataset with one state at each moment, without rows.

    Args:
        root: Where.
        config: The scenario.
        moments_s: Simulated time, rising.
        policy: Who runs the signals.
    """
    scenario, layout = load_scenario(config), DatasetLayout(root)
    scenario.write(layout.scenario)
    assert scenario.original is not None
    write_files(layout.original, scenario.original.files)
    layout.states.mkdir()
    signals, seen, actions = _run(layout.scenario / CONFIG_NAME, moments_s, policy)
    run = _reference(scenario, policy, _write_actions(layout, actions))
    records = [_record(scenario, run, time_s, seen[time_s]) for time_s in moments_s]
    layout.index.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    layout.manifest.write_text(_manifest(scenario, run, signals).model_dump_json())


def _run(
    config: Path, moments_s: Sequence[float], policy: PolicySpec
) -> tuple[dict[str, Signal], dict[float, dict[str, SignalState]], list[Action]]:
    """The signals, what each did at every moment, and what the policy did."""
    seen, actions = {}, list[Action]()
    begin = Open(config=str(config), seed=_SEED)
    with ForkServer() as fork_server, fork_server.open(begin) as live:
        question = Describe(min_green_s=_MIN_GREEN_S, max_green_s=_MAX_GREEN_S)
        signals = live.call(question, Described, _LIMIT_S).signals
        for time_s in moments_s:
            advanced = live.call(Advance(to_s=time_s, policy=policy), Ready, _LIMIT_S)
            actions += advanced.actions
            seen[time_s] = live.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals
    return signals, seen, actions


def _write_actions(layout: DatasetLayout, actions: Sequence[Action]) -> str | None:
    """The digest of the file; None where the policy did nothing."""
    if not actions:
        return None
    path = layout.actions(f"seed{_SEED}")
    path.parent.mkdir()
    path.write_text("".join(f"{action.model_dump_json()}\n" for action in actions))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _reference(scenario: Scenario, policy: PolicySpec, digest: str | None) -> SimulationRef:
    return SimulationRef(
        run=f"seed{_SEED}",
        command=sumo_arguments(f"scenario/{CONFIG_NAME}", _SEED),
        begin_s=scenario.begin_s,
        end_s=scenario.begin_s + _LENGTH_S,
        seed=_SEED,
        policy=policy.label,
        actions=None if digest is None else f"actions/seed{_SEED}.jsonl",
        actions_sha256=digest,
    )


def _record(
    scenario: Scenario, run: SimulationRef, time_s: float, signals: dict[str, SignalState]
) -> StateRecord:
    return StateRecord(
        state_id=f"{scenario.name}@{time_s:g}-{(run.actions_sha256 or '0' * 64)[:12]}",
        scenario_id=scenario.scenario_id,
        time_s=time_s,
        seed=_SEED,
        run=run.run,
        restore="replay",
        verified_s=0,
        simulator=simulator(),
        signals=signals,
    )


def _manifest(scenario: Scenario, run: SimulationRef, signals: dict[str, Signal]) -> Manifest:
    assert scenario.original is not None
    return Manifest(
        greenfork="0",
        simulator=simulator(),
        scenario=ScenarioRef(
            scenario_id=scenario.scenario_id,
            name=scenario.name,
            config=f"scenario/{CONFIG_NAME}",
            dropped_options=(),
            original=scenario.original.arguments("original"),
        ),
        simulation=run,
        simulations=(run,),
        signals=signals,
        build=BuildReport(states=0, rows=0, replayed=0, horizon_s=60, extend_s=5),
    )
