"""Rollouts of many kinds on real networks, restored in random order and compared with forks."""

import argparse
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.decisions import Cycle, CycleGreen, Decision, Extend, NextPhase, Plan, PlanStep
from shared.errors import GreenforkError
from shared.signals import Signal, SignalState
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Describe,
    Described,
    Observe,
    Observed,
    Open,
    Ready,
    Replay,
    Rollout,
    RolloutOutcome,
    SignalDecision,
)
from sim_workers.scenarios.resco import locate_scenario

LIMIT_S = 120.0
BEGIN_S = {
    "cologne1": 25200,
    "cologne3": 25200,
    "cologne8": 25200,
    "ingolstadt1": 57600,
    "ingolstadt7": 57600,
    "ingolstadt21": 57600,
    "grid4x4": 0,
    "arterial4x4": 0,
    "3x3grid": 0,
}
"""Networks of the package sumo-rl, and when their demand begins, seconds. The results of cologne1
and 3x3grid depend on the order of addresses in memory."""
_KINDS = 12
"""Different rollouts of a moment."""


@dataclass
class Comparison:
    """What was found on one network."""

    restored: int = 0
    forked_instead: int = 0
    differing: int = 0
    refused: int = 0
    """Rollouts that fail, the same by both ways."""


def compare(network: str, seed: int, count: int, max_horizon_s: int) -> Comparison:
    """Does ``count`` rollouts at a random moment in a process that is put back, in random order.

    Args:
        network: One of :data:`BEGIN_S`.
        seed: The simulation's, and that of all that is random here.
        count: Rollouts.
        max_horizon_s: Simulated seconds of the longest.
    """
    chance, found = random.Random(f"{network} {seed}"), Comparison()
    opened = Open(config=str(_config(network)), seed=seed)
    with ForkServer() as fork_server, fork_server.open(opened) as holder:
        moment_s = BEGIN_S[network] + chance.randrange(300, 1500)
        holder.call(Replay(to_s=moment_s), Ready, LIMIT_S)
        kinds = [make(chance, max_horizon_s) for make in [_maker(holder)] * _KINDS]
        forked = [outcome_of(holder, kind, is_forked=True) for kind in kinds]
        fork_server.keep(holder)
        for _ in range(count):
            index = chance.randrange(_KINDS)
            outcome = outcome_of(holder, kinds[index])
            found.restored += outcome.made_by == "restore" or outcome.error is not None
            found.forked_instead += bool(outcome.not_restored)
            found.refused += outcome.error is not None
            found.differing += what(outcome) != what(forked[index])
    return found


def outcome_of(
    holder: SimulationHandle, rollout: Rollout, is_forked: bool = False
) -> RolloutOutcome:
    """What becomes of a rollout; its error if there is one."""
    asked = rollout.model_copy(update={"is_forked": is_forked})
    try:
        return holder.call(asked, RolloutOutcome, LIMIT_S)
    except GreenforkError as exc:
        return RolloutOutcome.failed(exc)


def what(outcome: RolloutOutcome) -> tuple[object, ...]:
    """What must be equal, by whichever way it was made."""
    return outcome.metrics, outcome.trace, outcome.error


def _config(network: str) -> Path:
    if network == "3x3grid":
        return locate_scenario("resco:cologne1").parents[2] / network / f"{network}.sumocfg"
    return locate_scenario(f"resco:{network}")


def _maker(holder: SimulationHandle) -> Callable[[random.Random, int], Rollout]:
    """Makes rollouts of the present moment."""
    signals = holder.call(Describe(min_green_s=5, max_green_s=60), Described, LIMIT_S).signals
    shown = holder.call(Observe(tls_ids=()), Observed, LIMIT_S).signals

    def make(chance: random.Random, max_horizon_s: int) -> Rollout:
        tls_ids = sorted(chance.sample(sorted(signals), chance.randint(1, min(2, len(signals)))))
        decided = [one for tls in tls_ids if (one := _decided(chance, tls, signals, shown))]
        horizon_s = chance.randint(1, max_horizon_s)
        return Rollout(
            signal_decisions=tuple(decided),
            observe=tuple(tls_ids),
            horizon_s=horizon_s,
            follow_up=chance.choice(("program", "max_pressure", "greedy"))
            if decided
            else "program",
            trace_s=chance.choice((None, horizon_s)),
            limit_s=LIMIT_S,
        )

    return make


def _decided(
    chance: random.Random,
    tls_id: str,
    signals: Mapping[str, Signal],
    shown: Mapping[str, SignalState],
) -> SignalDecision | None:
    """A decision of any kind at a signal; None leaves it alone."""
    signal, state = signals[tls_id], shown[tls_id]
    greens = signal.programs[state.program_id].greens()
    decisions: list[Decision | None] = [
        None,
        Extend(extend=True, extend_s=chance.randint(1, 20)),
        Extend(extend=False),
        NextPhase(next_phase=chance.choice(list(greens)), green_s=chance.randint(5, 40)),
        Cycle(greens=tuple(CycleGreen(phase=g, green_s=chance.randint(5, 40)) for g in greens)),
        Plan(steps=tuple(PlanStep(extend=chance.random() < 0.5) for _ in range(4))),
    ]
    decision = chance.choice(decisions)
    return None if decision is None else SignalDecision.of(tls_id, decision, signal, state)


def main() -> int:
    """Compares on every network, under several seeds; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.restoring", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="restored rollouts in all")
    parser.add_argument("--seeds", type=int, default=10, help="simulations a network")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--horizon", type=int, default=60, help="seconds of the longest rollout")
    given = parser.parse_args()
    each = -(-given.count // (given.seeds * len(BEGIN_S)))
    differing = 0
    for network in BEGIN_S:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            found = compare(network, seed, each, given.horizon)
            sys.stdout.write(f"{network:14} seed {seed:3}: {asdict(found)}\n")
            sys.stdout.flush()
            differing += found.differing
    sys.stdout.write(f"{differing} differing\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
