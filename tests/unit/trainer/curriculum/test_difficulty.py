"""Where a sample's domain and difficulty come from."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.language.prompts import LaneCounts
from shared.language.prompts import difficulty as junction_difficulty
from trainer.curriculum import (
    GradedSample,
    buckets_of,
    problem_sample,
    row_sample,
    samples_of,
)


@pytest.mark.parametrize(
    ("name", "domain", "difficulty"),
    [
        ("bw_ops3_n4_seed200074.pddl", "blocksworld", 5 * 4),
        ("blocksworld-n12.pddl", "blocksworld", 5 * 12),
        ("ferry-l4-c2-s122320450.pddl", "ferry", 5 * 4 + 3 * 2),
        ("grippers-n1-r4-o3-s299249445.pddl", "grippers", 5 * 1 + 3 * 4 + 2 * 3),
        ("spanner-s3-n2-l4-s1595284416.pddl", "spanner", 5 * 2 + 3 * 4 + 2 * 3),
        ("spanner-n2-l4-s3-s7.pddl", "spanner", 5 * 2 + 3 * 4 + 2 * 3),
        ("rooms-n3-r2-o4-s99.pddl", "rooms", 5 * 3 + 3 * 2 + 2 * 4),
        ("rooms12-r2.pddl", "rooms", 3 * 2),
        ("n3_o1.pddl", "general", 5 * 3 + 2 * 1),
        ("some/where/FERRY-L4-C2-S1.PDDL", "ferry", 26),
        ("ferry-l0-c0", "ferry", 0),
    ],
)
def test_problem_by_the_name_of_its_file(name: str, domain: str, difficulty: float) -> None:
    """Each domain's counts and weights; a seed counts nothing, and neither do folders or suffix."""
    assert problem_sample(name) == GradedSample(domain, difficulty)


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("bw_ops3_seed200074.pddl", "blocksworld"),
        ("ferry-l4-s122320450.pddl", "ferry"),
        ("ferry-l4-l5-c2-s1.pddl", "ferry"),
        ("grippers-n1-r4.pddl", "grippers"),
        ("spanner-n2-l4-s1595284416.pddl", "spanner"),
        ("p01.pddl", "general"),
        ("rooms-s5.pddl", "general"),
        ("", "general"),
        ("---", "general"),
    ],
)
def test_unreadable_name(name: str, domain: str) -> None:
    """A count that is missing or stands twice is not guessed; a lone ``s`` is the seed."""
    assert problem_sample(name) == GradedSample(domain, None)


def test_row_with_a_difficulty() -> None:
    """The dataset's own number is taken as it is."""
    row = {"scenario": "net-0123", "state_id": "net@5-ab", "difficulty": 0.25}
    assert row_sample(row) == GradedSample("net-0123", 0.25)


def test_row_without_is_read_from_its_prompt() -> None:
    """By the formula that the dataset's builder uses."""
    counts = {
        "0": {"queued": 4, "approaching": 1, "passed": 0},
        "2": {"queued": 2, "approaching": 0, "passed": 0},
    }
    view = {
        "phases": counts,
        "current_phase": 0,
        "elapsed_green": 10,
        "min_green": 5,
        "max_green": 50,
    }
    prompt = [{"role": "user", "content": json.dumps(view, separators=(",", ":"))}]
    found = row_sample({"state_id": "net@5-ab", "prompt": prompt})
    by_formula = junction_difficulty(
        0, {int(phase): LaneCounts(**count) for phase, count in counts.items()}
    )
    assert found == GradedSample("net", by_formula)
    assert by_formula == 1 - 3 / 8


def test_row_of_a_planning_problem() -> None:
    """Its domain is its scenario if it has one; its difficulty stands in the file's name."""
    row = {"problem_file": "x/ferry-l4-c2-s1.pddl", "state_id": "s"}
    assert row_sample(row) == GradedSample("ferry", 26)
    assert row_sample({**row, "scenario": "boats"}) == GradedSample("boats", 26)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"difficulty": float("nan")},
        {"difficulty": True},
        {"difficulty": "0.5"},
        {"prompt": [{"role": "user", "content": "hello"}]},
        {"prompt": [{"role": "assistant", "content": "{}"}]},
        {"prompt": "hello"},
        {"prompt": []},
    ],
)
def test_row_that_says_nothing(row: dict[str, Any]) -> None:
    """No number is made up."""
    assert row_sample({"state_id": "net@1-ab", **row}) == GradedSample("net", None)


def test_unreadable_samples_are_warned_of_once_a_domain() -> None:
    """With how many there are and the first of them."""
    rows: list[dict[str, Any]] = [
        {"state_id": "net@1-ab"},
        {"state_id": "net@2-cd"},
        {"state_id": "net@3-ef", "difficulty": 0.5},
        {"problem_file": "ferry-x.pddl", "state_id": "s"},
    ]
    with capture_logs() as logs:
        samples = samples_of(rows)
    assert [sample.difficulty for sample in samples] == [None, None, 0.5, None]
    assert [(one["log_level"], one["domain"], one["samples"], one["first"]) for one in logs] == [
        ("warning", "net", 2, "net@1-ab"),
        ("warning", "ferry", 1, "ferry-x.pddl"),
    ]


def test_a_name_that_says_nothing_is_of_its_folders_domain() -> None:
    """Though its row has the 0 of the dataset's builder: it makes no domain of its own."""
    files = ["mixed/ferry-l2-c1-s1.pddl", "mixed/ferry-l3-c1-s2.pddl", "mixed/notes.pddl"]
    rows: list[dict[str, Any]] = [
        {"problem_file": file, "difficulty": difficulty}
        for file, difficulty in zip(files, (13.0, 18.0, 0.0), strict=True)
    ]
    assert {sample.domain for sample in samples_of(rows)} == {"ferry"}
    [bucket] = buckets_of(samples_of(rows))
    assert 2 in bucket.rows["easy"]


def test_what_a_scenario_is_called_does_not_depend_on_others() -> None:
    """States whose difficulty cannot be read stay in their scenario."""
    rows: list[dict[str, Any]] = [
        {"state_id": "net@1-ab"},
        {"state_id": "other@1-cd", "difficulty": 0.5},
    ]
    assert [sample.domain for sample in samples_of(rows)] == ["net", "other"]
