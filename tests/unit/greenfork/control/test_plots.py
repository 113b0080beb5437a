"""Plots of a comparison, from episodes whose greens are known."""

from pathlib import Path

import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from greenfork.control.plots import _as_clock, _figure, draw_plots, green_bars
from sim_workers.controllers.control_run import ControlRun
from tests.unit.greenfork.control.finished_episodes import END_S, run_of

GREENS = (
    (25_200, "a", 0),
    (25_200, "b", 4),
    (25_260, "a", None),
    (25_263, "a", 2),
    (25_320, "a", 0),
    (25_400, "b", None),
)
FIRST_COLOURS = ("#0072b2", "#d55e00", "#009e73")
"""Of the phases 0, 2 and 4."""


def test_bars_last_from_a_green_to_the_next_change() -> None:
    """Yellow is no bar, the last green lasts to the end, and a signal may end without one."""
    finished = run_of("greedy", GREENS).finished
    assert finished is not None
    assert green_bars(finished) == {
        "a": [(25_200, 25_260, 0), (25_263, 25_320, 2), (25_320, END_S, 0)],
        "b": [(25_200, 25_400, 4)],
    }


def _pixels(path: Path, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    picture = imread(path)[..., :3]
    return int((abs(picture - to_rgb(colour)) < 0.01).all(axis=-1).sum())


def test_every_plot_is_drawn_and_shows_its_episodes(tmp_path: Path) -> None:
    """Lines in the colours of the controllers, greens in those of the phases; failures left out."""
    failed = ControlRun("random", 1, None, None)
    runs = [run_of("fixed", seed=1), run_of("model:a/b", GREENS), failed]
    written = draw_plots(tmp_path / "plots", "crossing", runs)
    names = ["queue.png", "delay.png", "switches.png", "greens-model-a-b.png"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(names)
    *lines, greens = written
    for path in lines:
        assert _pixels(path, FIRST_COLOURS[1]) > 50, path.name
    first, second, third = (_pixels(greens, colour) for colour in FIRST_COLOURS)
    assert first > third > second > 1000  # shown for 240, 200 and 57 s


def test_what_a_service_keeps_to_itself_is_not_drawn(tmp_path: Path) -> None:
    """Without SUMO's summary there is no queue, without the greens no greens; the rest is there."""
    steered, fixed = run_of("greedy", is_told=False), run_of("fixed", is_told=False, signals=())
    both = draw_plots(tmp_path, "crossing", [fixed, steered])
    assert [path.name for path in both] == ["delay.png", "switches.png"]
    assert _pixels(both[1], FIRST_COLOURS[0]) == 0  # nobody says how many signals fixed has
    assert _pixels(both[1], FIRST_COLOURS[1]) > 50
    assert [path.name for path in draw_plots(tmp_path, "crossing", [fixed])] == ["delay.png"]


def test_without_a_finished_episode_nothing_is_drawn(tmp_path: Path) -> None:
    """Not even the folder is made."""
    assert draw_plots(tmp_path / "none", "crossing", [ControlRun("greedy", 1, None, None)]) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("length_s", "label", "ticks"),
    [
        (3600, "simulated time, h:min", ["7:00", "7:05", "7:10"]),
        (600, "simulated time, h:min", ["7:00", "7:01", "7:02"]),
        (100, "simulated time, h:min:s", ["7:00:00", "7:00:10", "7:00:20"]),
    ],
)
def test_ticks_are_what_the_label_says(length_s: int, label: str, ticks: list[str]) -> None:
    """Whole minutes where they are enough, else seconds at every tick."""
    axes = _figure(9, 4).subplots()
    axes.set_xlim(25_200, 25_200 + length_s)
    _as_clock(axes)
    texts = axes.xaxis.get_major_formatter().format_ticks(list(axes.get_xticks()))
    begin = texts.index(ticks[0])
    assert (axes.get_xlabel(), texts[begin : begin + 3]) == (label, ticks)
