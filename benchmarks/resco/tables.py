"""The runs as Markdown, beside what RESCO publishes, and put into the page between two markers."""

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.resco.plan import LOOK_AHEAD
from benchmarks.resco.published import LEARNERS, NETWORKS, RULES, Published, best_learner
from benchmarks.resco.results import Result
from sim_workers.controllers.making import CONTROLLER_NAMES
from sim_workers.controllers.statistics import spread_of

__all__ = ["BEGIN", "END", "MarkersMissing", "put_into", "tables_of"]

BEGIN = "<!-- make resco: begin -->"
END = "<!-- make resco: end -->"

_NONE = "–"
_SUMMARY = (
    *("network", "`look-ahead`, median", "seeds", "best rule, median", "seeds"),
    *("best published learner, best episode", "its last ten"),
)
_HEAD = (
    *("controller", "seeds", "median", "mean", "95 % interval", "gridlocked", "trip"),
    *(
        "never departed",
        "s per decision",
        "RESCO: best episode, or mean [median]",
        "RESCO: last ten",
    ),
)


class MarkersMissing(ValueError):
    """The page has no place for the tables."""


def tables_of(results: Sequence[Result]) -> str:
    """A summary with a row a network, and a table for each network with runs."""
    by_network = {
        name: [one for one in results if one.network == name]
        for name in NETWORKS
        if any(one.network == name for one in results)
    }
    summary = [_summary_row(name, of_one) for name, of_one in by_network.items()]
    parts = [_versions(results), _table(_SUMMARY, summary)]
    parts += [f"#### {name}\n\n{_network_table(name, of)}" for name, of in by_network.items()]
    return "\n".join(parts)


def put_into(page: Path, text: str) -> None:
    """Puts a text between the markers of a page, in the place of what is there.

    Raises:
        MarkersMissing: The page lacks a marker.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise MarkersMissing(f"{page} has no {BEGIN} … {END}")
    new = page.with_name(f".{page.name}.new")
    new.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    os.replace(new, page)  # noqa: PTH105  nobody may find half a page


def _versions(results: Sequence[Result]) -> str:
    found = sorted({one.simulator for one in results})
    return f"{len(results)} runs, SUMO {', '.join(found) or _NONE}.\n"


def _summary_row(network: str, results: Sequence[Result]) -> list[str]:
    of_each = _by_controller(results)
    medians = {name: _median(of_one) for name, of_one in of_each.items()}
    rules = {n: m for n, m in medians.items() if n != LOOK_AHEAD and m is not None}
    best = min(rules, key=lambda name: rules[name]) if rules else None
    learner = best_learner(network)
    figures = LEARNERS[learner][network]
    return [
        network,
        _number(medians.get(LOOK_AHEAD)),
        str(len(of_each.get(LOOK_AHEAD, []))),
        f"{rules[best]:.1f} (`{best}`)" if best else _NONE,
        str(len(of_each[best])) if best else "0",
        f"{figures.value:g} ({learner})",
        _number(figures.last_ten),
    ]


def _network_table(network: str, results: Sequence[Result]) -> str:
    rows = [_run_row(network, name, of) for name, of in _by_controller(results).items()]
    for name, of_each in LEARNERS.items():
        figures = of_each[network]
        blanks = [_NONE] * (len(_HEAD) - 3)
        rows.append([name, *blanks, f"{figures.value:g}", _number(figures.last_ten)])
    return _table(_HEAD, rows)


def _run_row(network: str, controller: str, results: Sequence[Result]) -> list[str]:
    delay = spread_of(_delays(results))
    trip = spread_of([f for one in results if (f := one.figures.travel_time_s) is not None])
    backlog = spread_of([one.figures.backlog_veh for one in results])
    decisions = sum(one.decisions for one in results)
    deciding_s = sum(one.deciding_s for one in results)
    is_timed = controller == LOOK_AHEAD and decisions > 0
    return [
        f"`{controller}`",
        str(len(results)),
        _number(delay.median if delay else None),
        _number(delay.mean if delay else None),
        f"± {delay.half_width:.1f}" if delay and delay.half_width is not None else _NONE,
        str(sum(one.figures.gridlocked for one in results)),
        _number(trip.median if trip else None),
        f"{backlog.median:.0f}" if backlog else _NONE,
        f"{deciding_s / decisions:.2g}" if is_timed else _NONE,
        _of_rule(RULES.get(controller, {}).get(network)),
        _NONE,
    ]


def _by_controller(results: Sequence[Result]) -> dict[str, list[Result]]:
    return {
        name: found
        for name in CONTROLLER_NAMES
        if (found := [one for one in results if one.controller == name])
    }


def _delays(results: Sequence[Result]) -> list[float]:
    return [one.figures.delay_s for one in results if one.figures.delay_s is not None]


def _median(results: Sequence[Result]) -> float | None:
    spread = spread_of(_delays(results))
    return spread.median if spread else None


def _of_rule(published: Published | None) -> str:
    if published is None:
        return _NONE
    median = f" [{published.median:g}]" if published.median is not None else ""
    return f"{published.value:g}{median}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, align, *rows))
