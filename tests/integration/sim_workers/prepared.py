"""A rollout that is prepared for at one moment and made at another, in this process.

A module of its own because libsumo holds one simulation per process:
``python -m tests.integration.sim_workers.prepared CONFIG PREPARED_AT_S BEGUN_AT_S``. Prints the
metrics as JSON.
"""

import sys

from shared.decisions import Cycle, CycleGreen
from sim_workers.engine.messages import Open, Rollout, SignalDecision
from sim_workers.engine.simulation import Simulation


def main(config: str, prepared_at_s: str, begun_at_s: str) -> None:
    """Runs it and prints what it showed."""
    decided = SignalDecision(
        tls_id="c",
        decision=Cycle(greens=(CycleGreen(phase=0, green_s=20), CycleGreen(phase=2, green_s=9))),
        elapsed_s=10,
        min_green_s=5,
        max_green_s=60,
    )
    rollout = Rollout(signal_decisions=(decided,), observe=("c",), horizon_s=60)
    simulation = Simulation()
    simulation.open(Open(config=config, seed=1))
    simulation.replay(float(prepared_at_s), ())
    simulation.prepare(rollout)
    simulation.replay(float(begun_at_s), ())
    sys.stdout.write(simulation.roll_out(rollout).unwrap().model_dump_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
