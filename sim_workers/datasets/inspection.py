"""Inspects a scenario without building anything."""

import tempfile
from pathlib import Path

from shared.signals import Signal
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Describe, Described, Open
from sim_workers.scenarios.scenario import Scenario, load_scenario
from sim_workers.verification.fidelity import Comparison, Sides, compare

__all__ = ["check_scenario", "inspect_scenario", "signals_of"]

_LIMIT_S = 60.0


def inspect_scenario(config: Path) -> tuple[Scenario, dict[str, Signal]]:
    """A scenario as it would be used, and its traffic lights with the default green limits.

    Raises:
        ScenarioError: The scenario is unusable.
        RolloutRejected: SUMO refuses it.
    """
    scenario = load_scenario(config)
    with ForkServer() as fork_server:
        return scenario, signals_of(scenario, fork_server)


def check_scenario(
    config: Path, seed: int | None, end_s: float | None
) -> tuple[Scenario, int, Comparison]:
    """A scenario, the seed of its run, and how the run compares with the user's own simulation.

    Args:
        config: The user's configuration.
        seed: Seed of the run; None takes the configuration's, or else SUMO's default.
        end_s: End of the comparison, seconds; None takes the configuration's end, or else an hour
            after its begin.

    Raises:
        ScenarioError: The scenario is unusable.
        RolloutError: SUMO refuses it, or died.
    """
    scenario = load_scenario(config)
    assert scenario.original is not None, "a configuration was read"  # noqa: S101
    seed = scenario.run_seed if seed is None else seed
    end_s = scenario.run_end_s if end_s is None else end_s
    sides = Sides(scenario.original, scenario.files, seed)
    with ForkServer() as fork_server:
        return scenario, seed, compare(sides, end_s, fork_server)


def signals_of(scenario: Scenario, fork_server: ForkServer) -> dict[str, Signal]:
    """The traffic lights of a scenario, by id, with the default green limits.

    Args:
        scenario: The scenario.
        fork_server: Starts SUMO.

    Raises:
        RolloutRejected: SUMO refuses it.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = Open(config=str(scenario.write(Path(folder))), seed=0)
        with fork_server.open(request) as holder:
            question = Describe(min_green_s=5, max_green_s=60)
            return holder.call(question, Described, _LIMIT_S).signals
