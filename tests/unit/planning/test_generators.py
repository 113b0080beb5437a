"""Generated problems: their names, their texts, that they differ."""

import re
from statistics import median

import pytest

from planning.domains.constructions import Construction, least_steps
from planning.generators import DOMAINS, DomainName, domain_text, generators
from planning.texts import domain_outline, problem_outline
from shared.errors import ConfigError
from trainer.curriculum import problem_sample


@pytest.mark.parametrize("domain", DOMAINS)
def test_names_carry_the_difficulty(domain: DomainName) -> None:
    """The curriculum reads domain and difficulty out of each name; eval's are above the median."""
    generator = generators()[domain]
    found = {
        split: [problem_sample(generator.problem(size, 7).name + ".pddl") for size in sizes]
        for split, sizes in (("train", generator.train_sizes), ("eval", generator.eval_sizes))
    }
    assert {one.domain for samples in found.values() for one in samples} == {domain}
    trained = [one.difficulty or 0 for one in found["train"]]
    assert min(trained) > 0
    assert min(one.difficulty or 0 for one in found["eval"]) > median(trained)


@pytest.mark.parametrize("domain", DOMAINS)
def test_sizes_of_the_splits_are_apart(domain: DomainName) -> None:
    """No size of the held-out problems is among those of the training."""
    generator = generators()[domain]
    assert not set(generator.train_sizes) & set(generator.eval_sizes)


@pytest.mark.parametrize("domain", DOMAINS)
def test_problems_follow_from_their_seeds(domain: DomainName) -> None:
    """The same seed gives the same text, another one another; all name their domain."""
    generator = generators()[domain]
    size = generator.train_sizes[-1]
    texts = [generator.problem(size, seed).text for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    assert problem_outline(texts[0]).domain == domain_outline(domain_text(domain)).name == domain


@pytest.mark.parametrize("domain", DOMAINS)
def test_shuffled_names_say_nothing(domain: DomainName) -> None:
    """As many facts of each kind as without; all objects have different numbers from 1 to 30."""
    generator = generators()[domain]
    size = generator.eval_sizes[-1]
    plain = generator.problem(size, 5).text
    shuffled, again = [generator.problem(size, 5, is_shuffled=True).text for _ in "ab"]
    assert shuffled == again
    bodies = [re.sub(r"(?<=[a-z])[0-9]+", "", text).splitlines()[2:] for text in (plain, shuffled)]
    assert bodies[0][0] == bodies[1][0]
    assert [sorted(re.findall(r"\([^()]+\)", line)) for line in bodies[0][1:]] == [
        sorted(re.findall(r"\([^()]+\)", line)) for line in bodies[1][1:]
    ]
    objects = shuffled.splitlines()[2]
    numbers = [int(number) for number in re.findall(r"[a-z]([0-9]+)", objects)]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= {*range(1, 31)}


@pytest.mark.parametrize("domain", DOMAINS)
def test_facts_of_shuffled_problems_have_no_order(domain: DomainName) -> None:
    """What an initial fact is about says nothing about the place of its goal."""
    generator = generators()[domain]
    places = set()
    for seed in range(8):
        problem = generator.problem(generator.eval_sizes[-1], seed, is_shuffled=True).text
        init = problem.partition("(:init")[2].partition("(:goal")[0]
        places.add(tuple(re.findall(r"\(([a-z-]+)", init)))
    assert len(places) > 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_constructed_plan_is_no_shorter_than_any_must_be(domain: DomainName) -> None:
    """Held-out problems of three domains always need six steps; plans may have more."""
    generator = generators()[domain]
    for seed, size in enumerate(generator.eval_sizes):
        problem = generator.problem(size, seed)
        plan = Construction().solve(domain_text(domain), problem.text)
        assert plan is not None
        assert len(plan) >= least_steps(problem.text)
        assert domain == "blocksworld" or least_steps(problem.text) >= 6


def test_there_is_no_construction_for_a_domain_of_ones_own() -> None:
    """The way out is named."""
    with pytest.raises(ConfigError, match="no plans for the domain lamps: use another planner"):
        Construction().solve("", "(define (problem p) (:domain lamps))")
