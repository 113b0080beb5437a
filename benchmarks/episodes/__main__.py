"""``python -m benchmarks.episodes``: control beside the bare stepping in it.

*Stepping*: an hour under decisions, step by step through the engine, beside plain libsumo that is
told the same and reads the same, and beside sumo-rl. The ways take turns; plain libsumo and the
engine must count the same queue and the same switches.

*Look-ahead*: what its decisions take, over the bare stepping of their rollouts.

*Served*: steps a second of many episodes side by side, through a gateway with one worker and with
two; and what HTTP and the record cost a step.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.episodes.look_ahead import measure_look_ahead, print_look_ahead
from benchmarks.episodes.served import (
    measure_http,
    measure_side_by_side,
    print_http,
    print_side_by_side,
)
from benchmarks.episodes.stepping import measure_stepping, print_stepping
from benchmarks.records import RESULTS, append

__all__ = ["main"]

_NETWORKS = ("cologne1", "ingolstadt21")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints tables, appends a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(_NETWORKS))
    parser.add_argument("--length", type=int, default=3600, help="simulated seconds")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--look-ahead", nargs="*", default=["ingolstadt7"], help="networks")
    parser.add_argument("--decisions", type=int, default=20, help="of look-ahead")
    parser.add_argument("--side-by-side", default="ingolstadt21", help="a network; empty: none")
    parser.add_argument("--episodes", type=int, default=32, help="side by side")
    parser.add_argument("--http", default="cologne1", help="a network; empty: none")
    parser.add_argument("--steps", type=int, default=30, help="of each episode that is served")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    options = parser.parse_args(arguments)
    stepping, ahead = [], []
    for network in options.networks:
        stepping.append(measure_stepping(network, options.length, options.rounds))
        print_stepping(stepping[-1])
    for network in options.look_ahead:
        ahead.append(measure_look_ahead(network, options.decisions, options.rounds))
        print_look_ahead(ahead[-1])
    served = []
    if options.side_by_side:
        served.append(measure_side_by_side(options.side_by_side, options.episodes, options.steps))
        print_side_by_side(served[-1])
    if options.http:
        served.append(measure_http(options.http, 5 * options.steps))
        print_http(served[-1])
    found = {"stepping": stepping, "look_ahead": ahead, "served": served}
    append(options.results, "episodes", found)


if __name__ == "__main__":
    main()
