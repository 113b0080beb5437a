"""Looking into a scenario without building anything."""

import tempfile
from pathlib import Path

from shared.signals import Signal
from sim_workers.messages import Describe, Described, Open
from sim_workers.processes import Nursery
from sim_workers.scenarios import Scenario, load_scenario

__all__ = ["inspect_scenario", "signals_of"]

_LIMIT_S = 60.0


def inspect_scenario(config: Path) -> tuple[Scenario, dict[str, Signal]]:
    """A scenario as it would be used, and its traffic lights with the default green limits.

    Raises:
        ScenarioError: The scenario is unusable.
        RolloutRejected: SUMO refuses it.
    """
    scenario = load_scenario(config)
    return scenario, signals_of(scenario)


def signals_of(scenario: Scenario, nursery: Nursery | None = None) -> dict[str, Signal]:
    """The traffic lights of a scenario, by id, with the default green limits.

    Args:
        scenario: The scenario.
        nursery: One that runs; None starts one.

    Raises:
        RolloutRejected: SUMO refuses it.
    """
    if nursery is None:
        with Nursery() as own:
            return signals_of(scenario, own)
    with tempfile.TemporaryDirectory() as folder:
        request = Open(config=str(scenario.write(Path(folder))), seed=0)
        with nursery.open(request) as holder:
            question = Describe(min_green_s=5, max_green_s=60)
            return holder.call(question, Described, _LIMIT_S).signals
