"""The tables beside what was published."""

from pathlib import Path

import pytest

from benchmarks.resco.published import LEARNERS, NETWORKS
from benchmarks.resco.results import Settings
from benchmarks.resco.tables import BEGIN, END, MarkersMissing, put_into, tables_of
from tests.unit.benchmarks.resco.results import a_result


def _rows(text: str, first: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return [row for row in rows if row and row[0] == first]


def test_a_controller_is_given_by_median_mean_and_interval_beside_what_was_published() -> None:
    """With the number of its seeds and of those that locked."""
    delays = [20.0, 22.0, 30.0]
    text = tables_of(
        [a_result(seed=i, delay_s=d, gridlocked=d > 25) for i, d in enumerate(delays, 1)]
    )
    assert _rows(text, "`greedy`") == [
        ["`greedy`", "3", "22.0", "24.0", "± 13.1", "1", "42.0", "0", "–", "27.8", "–"]
    ]
    assert _rows(text, "IDQN") == [["IDQN", *["–"] * 8, "26.1", "28.9"]]


def test_the_summary_puts_look_ahead_beside_the_best_learner_and_the_best_rule() -> None:
    """The best rule is that with the least median."""
    text = tables_of(
        [
            a_result("look-ahead", delay_s=18, network="cologne3", settings=Settings()),
            a_result("greedy", delay_s=24, network="cologne3"),
            a_result("fixed", delay_s=42, network="cologne3"),
        ]
    )
    assert _rows(text, "cologne3") == [
        ["cologne3", "18.0", "1", "24.0 (`greedy`)", "1", "24 (IDQN)", "95.5"]
    ]
    assert _rows(text, "`look-ahead`")[0][8] == "0.1"
    assert _rows(text, "`fixed`")[0][9] == "46.4 [39]"


def test_a_network_without_runs_has_no_row() -> None:
    """Nothing is said of what was not run."""
    assert not _rows(tables_of([a_result()]), "grid4x4")


def test_every_learner_was_published_on_every_network() -> None:
    """So that each table is whole."""
    assert all(set(figures) == set(NETWORKS) for figures in LEARNERS.values())


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    """As often as one likes."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for text in ("first", "second"):
        put_into(page, text)
    assert page.read_text() == f"before\n{BEGIN}\n\nsecond\n{END}\nafter\n"
    assert [one.name for one in tmp_path.iterdir()] == ["page.md"]


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    """And it is said what is missing."""
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN} only\n")
    with pytest.raises(MarkersMissing, match="make resco: end"):
        put_into(page, "text")
    assert page.read_text() == f"{BEGIN} only\n"
