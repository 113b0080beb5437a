"""The program: what is done is not done again, and what failed is tried again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.resco import __main__ as program
from benchmarks.resco.plan import Job
from benchmarks.resco.results import Result, Settings, read
from benchmarks.resco.running import RunFailed
from benchmarks.resco.tables import BEGIN, END
from tests.unit.benchmarks.resco.results import a_result

_Note = Callable[[Job, "Result | RunFailed"], None]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[Job]]:
    """What each call of the program had run; ``fixed`` fails."""
    calls: list[list[Job]] = []

    def run(jobs: Sequence[Job], settings: Settings, workers: int, on_done: _Note) -> None:
        calls.append(list(jobs))
        for job in jobs:
            is_failing = job.controller == "fixed"
            on_done(
                job,
                RunFailed("no") if is_failing else a_result(job.controller, job.seed),
            )

    monkeypatch.setattr(program, "run_jobs", run)
    monkeypatch.setattr(program, "version", lambda name: "1.28.0")
    return calls


def test_a_second_call_runs_what_is_missing(tmp_path: Path, asked: list[list[Job]]) -> None:
    """More seeds add to what there is; a failed run is no result, and the status says so."""
    page, results = tmp_path / "page.md", tmp_path / "results.jsonl"
    page.write_text(f"{BEGIN}\n{END}\n")
    common = ["--networks", "cologne1", "--results", str(results), "--page", str(page)]
    controllers = ["--controllers", "greedy", "fixed"]
    assert program.main([*common, *controllers, "--seeds", "1"]) == 1
    assert program.main([*common, *controllers, "--seeds", "2"]) == 1
    assert program.main([*common, "--controllers", "greedy", "--seeds", "2"]) == 0
    jobs = [[(job.controller, job.seed) for job in call] for call in asked]
    assert jobs == [
        [("greedy", 1), ("fixed", 1)],
        [("fixed", 1), ("greedy", 2), ("fixed", 2)],
        [],
    ]
    assert [(one.controller, one.seed) for one in read([results])] == [("greedy", 1), ("greedy", 2)]
    assert "| `greedy` | 2 |" in page.read_text()


def test_quick_is_one_seed_of_cologne1(tmp_path: Path, asked: list[list[Job]]) -> None:
    """Unless something else is asked for as well."""
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    files = ["--results", str(tmp_path / "r.jsonl"), "--page", str(page)]
    program.main(["--quick", *files])
    program.main(["--quick", *files, "--networks", "cologne3"])
    assert {(job.network, job.seed) for job in asked[0]} == {("cologne1", 1)}
    assert {(job.network, job.seed) for job in asked[1]} == {("cologne3", 1)}
