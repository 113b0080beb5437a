"""Generated problems: their names, their texts, that they differ."""

import pytest

from planning.generators import DOMAINS, DomainName, domain_text, generators
from planning.texts import domain_outline, problem_outline
from trainer.curriculum import problem_sample


@pytest.mark.parametrize("domain", DOMAINS)
def test_names_carry_the_difficulty(domain: DomainName) -> None:
    """The curriculum reads domain and difficulty out of each name; eval sizes are harder."""
    generator = generators()[domain]
    found = {
        split: [problem_sample(generator.problem(size, 7).name + ".pddl") for size in sizes]
        for split, sizes in (("train", generator.train_sizes), ("eval", generator.eval_sizes))
    }
    assert {one.domain for samples in found.values() for one in samples} == {domain}
    hardest = max(one.difficulty or 0 for one in found["train"])
    assert all((one.difficulty or 0) > 0 for one in found["train"])
    assert max(one.difficulty or 0 for one in found["eval"]) > hardest


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
