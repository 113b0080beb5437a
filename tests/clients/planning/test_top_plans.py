"""K* itself: several plans of each domain, all of which our judge accepts."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from planning.generators import DOMAINS, DomainName, domain_text, generators
from planning.judge import Judge
from planning.planners.top_plans import KStar
from tests.clients.environments import python_of

_PINS = Path(__file__).with_name("top_planners.txt")
_PLANS = 8


@pytest.fixture(scope="module")
def kstar() -> KStar:
    """The planner in an environment of its own."""
    return KStar(str(python_of(_PINS)))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process for all domains."""
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize("name", DOMAINS)
def test_several_plans(kstar: KStar, judge: Judge, name: DomainName) -> None:
    """Different ones, the cheapest first, and each reaches the goals."""
    generator = generators()[name]
    size = random.Random(5).choice(generator.train_sizes[1:])
    problem, domain = generator.problem(size, 5), domain_text(name)
    plans = kstar.solve(domain, problem.text, _PLANS)
    assert 2 <= len(plans) == len(set(plans)) <= _PLANS
    assert [len(plan) for plan in plans] == sorted(map(len, plans))
    verdicts = [judge.judge(domain, problem.text, plan) for plan in plans]
    assert all(verdict.is_valid for verdict in verdicts)
