"""The error tree: codes, pickling, and the way over the wire."""

import pickle

import pytest

from shared.errors import GreenforkError, Overloaded, RolloutError, WorkerLost
from shared.wire.error_info import ErrorInfo
from shared.wire.problems import Problem
from shared.wire.scoring import Counts, ScoreResult


def tree(root: type[GreenforkError]) -> list[type[GreenforkError]]:
    """A class and everything below it."""
    return [root, *(kind for child in root.__subclasses__() for kind in tree(child))]


PUBLIC = [kind for kind in tree(GreenforkError) if not kind.__name__.startswith("_")]


@pytest.mark.parametrize("kind", PUBLIC)
def test_errors_survive_pickling(kind: type[GreenforkError]) -> None:
    """They cross processes with message and code."""
    again = pickle.loads(pickle.dumps(kind("what", "special")))  # noqa: S301
    assert (type(again), again.message, again.code) == (kind, "what", "special")


def test_retry_after_survives_pickling() -> None:
    """As well as the rest."""
    again = pickle.loads(pickle.dumps(Overloaded("full", None, 9)))  # noqa: S301
    assert (again.retry_after_s, again.code) == (9, "overloaded")


def test_codes_are_unique() -> None:
    """A code names one class."""
    codes = [kind.code for kind in PUBLIC]
    assert sorted(codes) == sorted(set(codes))


def test_error_comes_back_from_the_wire() -> None:
    """As the class that has its code."""
    again = ErrorInfo.of(WorkerLost("gone")).to_error()
    assert (type(again), again.message, again.retryable) == (WorkerLost, "gone", True)


@pytest.mark.parametrize("is_retryable", [True, False])
def test_unknown_code_comes_back_with_what_is_known(is_retryable: bool) -> None:
    """A newer service's errors are still told apart by whether a retry helps."""
    info = ErrorInfo(code="newer", message="m", retryable=is_retryable)
    again = info.to_error()
    assert isinstance(again, RolloutError)
    assert (again.code, again.retryable) == ("newer", is_retryable)


def test_problem_describes_an_error() -> None:
    """Its title is the class's name in words."""
    problem = Problem.of(WorkerLost("gone"))
    assert (problem.title, problem.code, problem.status) == ("Worker lost", "worker_lost", 500)


def test_counts_are_exact() -> None:
    """Every result is counted once, by its status."""
    results = [
        ScoreResult(id=None, status="scored", reward=1.0, cached=True),
        ScoreResult(id=None, status="scored", reward=0.0),
        ScoreResult(id=None, status="invalid", reward=-1.0),
        ScoreResult(id=None, status="failed", reward=None),
    ]
    expected = Counts(scored=2, invalid=1, failed=1, cached=1, rollouts=3)
    assert Counts.of(results, 3) == expected
