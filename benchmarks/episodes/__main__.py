"""``python -m benchmarks.episodes``: control beside the bare stepping in it.

*Stepping*: an hour under decisions, step by step through the engine, beside plain libsumo that is
told the same and reads the same, and beside sumo-rl. The ways take turns; plain libsumo and the
engine must count the same queue and the same switches.

*Look-ahead*: what its decisions take, over the bare stepping of their rollouts; with one process
at a time, and with one for each CPU.

*Side by side*: steps a second of many episodes, through a gateway with one worker and with two.

*HTTP*: what HTTP and the record cost a step.

Each part prints its table as soon as it is done; name some to run only those. The ratios in
processor time hold on a busy machine, too; those in wall-clock time only on an idle one.
"""

import argparse
import os
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

_PARTS = ("stepping", "look-ahead", "side-by-side", "http")
_QUICK = {"length": 600, "rounds": 1, "decisions": 3, "episodes": 4, "steps": 5}
_FULL = {"length": 3600, "rounds": 5, "decisions": 20, "episodes": 32, "steps": 30}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints tables, appends a JSON line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for unknown in set(options.parts).difference(_PARTS):
        parser.error(f"there is no part {unknown}; the parts are {', '.join(_PARTS)}")
    for name, value in (_QUICK if options.quick else _FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    parts = options.parts or _PARTS
    stepping, ahead, served = [], [], []
    for network in options.networks if "stepping" in parts else ():
        stepping.append(measure_stepping(network, options.length, options.rounds))
        print_stepping(stepping[-1])
    for network in options.look_ahead if "look-ahead" in parts else ():
        for at_once in sorted({1, len(os.sched_getaffinity(0))}):
            found = measure_look_ahead(network, options.decisions, options.rounds, at_once)
            ahead.append(found)
            print_look_ahead(found)
    if "side-by-side" in parts:
        served.append(measure_side_by_side(options.side_by_side, options.episodes, options.steps))
        print_side_by_side(served[-1])
    if "http" in parts:
        served.append(measure_http(options.http, 5 * options.steps))
        print_http(served[-1])
    measured = {"stepping": stepping, "look_ahead": ahead, "served": served}
    append(options.results, "episodes", measured)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.episodes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(_PARTS)}; all if none is named")
    add("--quick", action="store_true", help="short runs, to see that everything works")
    add("--networks", nargs="*", default=["cologne1", "ingolstadt21"], help="of stepping")
    add("--length", type=int, help="simulated seconds of stepping")
    add("--rounds", type=int, help="turns of each way")
    add("--look-ahead", nargs="*", default=["ingolstadt7"], help="networks")
    add("--decisions", type=int, help="of look-ahead")
    add("--side-by-side", default="ingolstadt21", help="a network")
    add("--episodes", type=int, help="side by side")
    add("--http", default="cologne1", help="a network")
    add("--steps", type=int, help="of each episode that is served; five times as many over HTTP")
    add("--results", type=Path, default=RESULTS, help="JSON lines to append to")
    return parser


if __name__ == "__main__":
    main()
