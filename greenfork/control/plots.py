"""Plots of a comparison, one PNG each, as a traffic engineer would put them in a report.

``queue.png``: standing vehicles over the hour; ``delay.png``: how the delay is distributed over the
vehicles; ``switches.png``: how often signals change; ``greens-….png``: what each signal shows.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.episodes.episode import FinishedEpisode

__all__ = ["check_plots", "draw_plots", "green_bars"]

_SMOOTHED_S = 60
_ZOOM_S = 600
_MOST_SIGNALS = 30
_MINUTE_S, _HOUR_S = 60, 3600

Bar = tuple[float, float, int]
"""Start and end in seconds of simulated time, and the green phase."""


def check_plots() -> None:
    """Checks that plots can be drawn, before the episodes run.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as exc:
        raise ConfigError(
            "--plot needs matplotlib; install greenfork[train], or leave --plot out",
            "package_missing",
        ) from exc


def draw_plots(folder: Path, title: str, runs: "Sequence[ControlRun]") -> list[Path]:
    """Draws all the plots that the finished episodes allow.

    Args:
        folder: The folder for the PNGs; created if missing.
        title: The scenario and the protocol.
        runs: The episodes; failed ones are left out.

    Returns:
        The files, in order.
    """
    from greenfork.control.files import safe_name

    found: dict[str, list[FinishedEpisode]] = {}
    for run in runs:
        if run.finished is not None:
            found.setdefault(run.controller, []).append(run.finished)
    if not found:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "queue": _queues(title, found),
        "delay": _delays(title, found),
        "switches": _switches(title, found),
    }
    for name, episodes in found.items():
        plots[f"greens-{safe_name(name)}"] = _greens(f"{title}: {name}", episodes[0])
    written = []
    for stem, figure in plots.items():
        if figure is not None:
            written.append(folder / f"{stem}.png")
            figure.savefig(written[-1], dpi=130, format="png")
    return written


def _queues(title: str, found: "Mapping[str, Sequence[FinishedEpisode]]") -> "Figure | None":
    """Draws the median over the seeds as a line, and the range as a band."""
    import numpy as np

    episodes = [one for of_one in found.values() for one in of_one]
    if not all(one.outputs.summary for one in episodes):
        return None
    figure = _figure(9, 4.5)
    axes = figure.subplots()
    for colour, (name, of_one) in zip(_colours(len(found)), found.items(), strict=True):
        begin_s, end_s = of_one[0].record.spec.begin_s, of_one[0].record.spec.end_s
        series = [_halting(one) for one in of_one]
        length = min(map(len, series))
        standing = np.stack([one[:length] for one in series])
        times_s = np.linspace(begin_s, end_s, length, endpoint=False)
        axes.plot(times_s, np.median(standing, axis=0), color=colour, linewidth=1.8, label=name)
        if len(of_one) > 1:
            low, high = standing.min(axis=0), standing.max(axis=0)
            axes.fill_between(times_s, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_ylabel("standing vehicles in the network")
    axes.set_ylim(bottom=0)
    _as_clock(axes)
    _finish(figure, axes, f"Queue, {title}", _seeds_said(found, "range over"))
    return figure


def _halting(episode: "FinishedEpisode") -> "ndarray[Any, Any]":
    """Standing vehicles by step of the simulation, as a moving mean over a minute."""
    import numpy as np

    from sim_workers.episodes.figures import seconds_of

    values = np.array([one.halting for one in seconds_of(episode.outputs.summary)], dtype=float)
    width = min(_SMOOTHED_S, len(values))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - width)
    means: ndarray[Any, Any] = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def _delays(title: str, found: "Mapping[str, Sequence[FinishedEpisode]]") -> "Figure":
    """Draws the share of vehicles that lost more than a given time; all seeds together."""
    import numpy as np

    from sim_workers.episodes.figures import trips_of

    figure = _figure(9, 4.5)
    axes = figure.subplots()
    for colour, (name, of_one) in zip(_colours(len(found)), found.items(), strict=True):
        delays_s = np.sort(
            [
                trip.time_loss_s + trip.depart_delay_s
                for one in of_one
                for trip in trips_of(one.outputs.tripinfo)
            ]
        )
        if not len(delays_s):
            continue
        median_s, last_s = np.quantile(delays_s, [0.5, 0.95])
        more = 1 - np.arange(1, len(delays_s) + 1) / len(delays_s)
        said = f"{name}: median {median_s:.0f} s, 95 % below {last_s:.0f} s"
        axes.step(delays_s, more, where="post", color=colour, linewidth=1.8, label=said)
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks([0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000])
    axes.set_xlim(0, max(20, axes.dataLim.x1))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylim(0, 1)
    axes.set_xlabel("delay, s (time loss and departure delay)")
    axes.set_ylabel("vehicles that lost more")
    _finish(figure, axes, f"Delay of the vehicles, {title}", _seeds_said(found, "all vehicles of"))
    return figure


def _switches(title: str, found: "Mapping[str, Sequence[FinishedEpisode]]") -> "Figure | None":
    """Draws changes of green per signal and hour: a dot per seed, a line at the median."""
    import numpy as np

    known = {
        name: [rate for one in episodes if (rate := _switches_per_hour(one)) is not None]
        for name, episodes in found.items()
    }
    if not any(known.values()):
        return None
    figure = _figure(9, 1.6 + 0.42 * len(found))
    axes = figure.subplots()
    for row, (colour, rates) in enumerate(zip(_colours(len(found)), known.values(), strict=True)):
        if not rates:
            continue
        axes.plot(rates, [row] * len(rates), "o", color=colour, alpha=0.6, markersize=6)
        axes.plot([float(np.median(rates))] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("changes of green per signal and hour")
    _finish(figure, axes, f"Switches, {title}", _seeds_said(found, "a dot each:"), legend=False)
    return figure


def _switches_per_hour(episode: "FinishedEpisode") -> float | None:
    """None if the number of signals is not known: a service reports only the controlled ones."""
    spec = episode.record.spec
    signals = {one.tls_id for one in episode.greens} or set(spec.signals or ())
    if not signals:
        return None
    hours = (spec.end_s - spec.begin_s) / _HOUR_S
    return episode.figures.switches / len(signals) / hours


def _greens(title: str, episode: "FinishedEpisode") -> "Figure | None":
    """Draws a row per signal, a colour per phase: the whole episode, and its middle ten minutes."""
    from matplotlib.patches import Patch

    spec = episode.record.spec
    bars = green_bars(episode)
    if not bars:
        return None
    shown = dict(sorted(bars.items())[:_MOST_SIGNALS])
    phases = sorted({phase for of_one in shown.values() for _, _, phase in of_one})
    colours = dict(zip(phases, _colours(len(phases)), strict=True))
    figure = _figure(11, 2.6 + 0.55 * len(shown))
    whole, zoom = figure.subplots(2, 1)
    middle_s = (spec.begin_s + spec.end_s) / 2
    half_s = min(_ZOOM_S, spec.end_s - spec.begin_s) / 2
    spans = ((spec.begin_s, spec.end_s), (middle_s - half_s, middle_s + half_s))
    for axes, (from_s, to_s) in zip((whole, zoom), spans, strict=True):
        for row, of_one in enumerate(shown.values()):
            axes.broken_barh(
                [(begin_s, end_s - begin_s) for begin_s, end_s, _ in of_one],
                (row - 0.38, 0.76),
                facecolors=[colours[phase] for _, _, phase in of_one],
                linewidth=0,
            )
        axes.set_yticks(range(len(shown)), [name[-30:] for name in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(from_s, to_s)
        _as_clock(axes)
    more = f", the first {len(shown)} of {len(bars)} signals" if len(bars) > len(shown) else ""
    whole.set_title(f"Greens, {title}, seed {spec.seed}{more}", loc="left", fontweight="bold")
    zoom.set_title("ten minutes of it", loc="left", fontsize=10)
    whole.legend(
        handles=[Patch(color=colours[phase], label=f"phase {phase}") for phase in phases],
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
    )
    return figure


def green_bars(episode: "FinishedEpisode") -> dict[str, list[Bar]]:
    """When each signal showed which green; between them it showed yellow or red."""
    end_s = episode.record.spec.end_s
    by_signal: dict[str, list[tuple[float, int | None]]] = {}
    for one in episode.greens:
        by_signal.setdefault(one.tls_id, []).append((one.time_s, one.phase))
    return {
        tls_id: [
            (begin_s, until_s, phase)
            for (begin_s, phase), (until_s, _) in pairwise([*changes, (end_s, None)])
            if phase is not None
        ]
        for tls_id, changes in by_signal.items()
    }


def _seeds_said(found: "Mapping[str, Sequence[FinishedEpisode]]", before: str) -> str:
    counts = {len(episodes) for episodes in found.values()}
    if len(counts) == 1 and counts != {1}:
        return f"{before} {counts.pop()} seeds"
    return "" if counts == {1} else f"{before} {min(counts)} to {max(counts)} seeds"


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colours(count: int) -> "list[Any]":
    """Colours that can be told apart, even by colour-blind readers as long as they are few."""
    from matplotlib import colormaps

    few = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
    if count <= len(few):
        return list(few[:count])
    return [colormaps["tab20"](index % 20) for index in range(count)]


_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 12


def _as_clock(axes: "Axes") -> None:
    """Labels the axis with the time of day; SUMO counts from midnight in most scenarios."""
    from matplotlib.ticker import MultipleLocator

    from_s, to_s = axes.get_xlim()
    every_s = next((s for s in _TICKS_S if (to_s - from_s) / s <= _MOST_TICKS), _TICKS_S[-1])
    has_seconds = every_s < _MINUTE_S
    axes.xaxis.set_major_locator(MultipleLocator(every_s))
    axes.xaxis.set_major_formatter(lambda value, _: clock(value, has_seconds))
    axes.set_xlabel(f"simulated time, h:min{':s' * has_seconds}")


def clock(time_s: float, has_seconds: bool = False) -> str:
    """A time of day.

    >>> clock(27000), clock(27030, has_seconds=True)
    ('7:30', '7:30:30')
    """
    seconds = round(time_s)
    said = f"{seconds // _HOUR_S}:{seconds // _MINUTE_S % 60:02}"
    return f"{said}:{seconds % _MINUTE_S:02}" if has_seconds else said


def _finish(figure: "Figure", axes: "Axes", title: str, note: str, legend: bool = True) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    if note:
        figure.text(0.995, 0.005, note, ha="right", va="bottom", fontsize=8, color="#555555")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False)
