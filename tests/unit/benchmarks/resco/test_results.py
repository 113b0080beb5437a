"""Finished runs survive whatever kills the program."""

from pathlib import Path

import pytest

from benchmarks.resco.results import BadResults, Settings, append, read
from tests.unit.benchmarks.resco.results import a_result


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    """Two runs, two lines, equal to what was found."""
    path = tmp_path / "results.jsonl"
    found = [a_result(seed=1), a_result(seed=2)]
    for one in found:
        append(path, one)
    assert read([path]) == found
    assert len(path.read_text().splitlines()) == 2


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    """What was there before it and what is added after it are read."""
    path = tmp_path / "results.jsonl"
    append(path, a_result(seed=1))
    append(path, a_result(seed=2))
    path.write_bytes(path.read_bytes()[:-30])
    assert [one.seed for one in read([path])] == [1]
    append(path, a_result(seed=3))
    assert [one.seed for one in read([path])] == [1, 3]


def test_a_whole_line_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """The file and the line are named."""
    path = tmp_path / "results.jsonl"
    path.write_text('{"network": "cologne1"}\n')
    with pytest.raises(BadResults, match=r"results\.jsonl:1 is no finished run"):
        read([path])


def test_of_a_run_that_was_done_twice_the_last_counts(tmp_path: Path) -> None:
    """In one file or in two; other settings are another run."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    append(first, a_result(delay_s=20))
    append(second, a_result(delay_s=21))
    for passes in (1, 2):
        append(second, a_result("look-ahead", settings=Settings(passes=passes)))
    assert [one.figures.delay_s for one in read([first, second])] == [21, 20, 20]


@pytest.mark.parametrize(
    ("controller", "settings", "simulator", "counts"),
    [
        ("look-ahead", Settings(), "1.28.0", True),
        ("look-ahead", Settings(horizon_s=90), "1.28.0", False),
        ("greedy", None, "1.28.0", True),
        ("greedy", None, "1.27.0", False),
    ],
)
def test_a_run_counts_only_if_it_would_be_the_same_now(
    controller: str, settings: Settings | None, simulator: str, counts: bool
) -> None:
    """Look-ahead's settings and SUMO's version decide; rules have no settings."""
    result = a_result(controller, settings=settings, simulator=simulator)
    assert result.is_of(Settings(), "1.28.0") is counts
