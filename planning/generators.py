"""Random problems of four domains, each of which is solvable by construction.

| domain | sizes | why it can be solved |
|---|---|---|
| blocksworld | n blocks | every block can be put on the table, and any tower built from there |
| ferry | l locations, c cars | every place can be reached from every other |
| grippers | n robots, r rooms, o balls | every room can be reached from every other |
| spanner | s spanners, n nuts, l locations | as many spanners as nuts or more, on the way to them |
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal, get_args

from shared.language.plans import renumbered

__all__ = [
    *("DOMAINS", "DomainName", "GeneratedProblem", "Generator", "Size"),
    *("domain_text", "generators"),
]

DomainName = Literal["blocksworld", "ferry", "grippers", "spanner"]
DOMAINS: tuple[DomainName, ...] = get_args(DomainName)

Size = tuple[int, ...]
Facts = Sequence[str]


@dataclass(frozen=True)
class GeneratedProblem:
    """A problem, and the name of its file, which contains its size."""

    domain: DomainName
    name: str
    text: str


@dataclass(frozen=True)
class Generator:
    """Makes the problems of one domain."""

    domain: DomainName
    name: str
    """Template of the file's name, with fields for each count of a size and for ``seed``."""
    train_sizes: tuple[Size, ...]
    eval_sizes: tuple[Size, ...]
    """Sizes for held-out problems, none of which occurs in training."""
    make: Callable[[Size, random.Random], tuple[str, Facts, Facts]]
    """Returns the objects, the initial facts and the goals."""

    def problem(self, size: Size, seed: int, is_shuffled: bool = False) -> GeneratedProblem:
        """A problem of a size, always the same for the same seed.

        Args:
            size: A count for each field of the name.
            seed: Of the problem.
            is_shuffled: Whether objects have random numbers instead of 1, 2, …, none of which two
                objects share, and facts and goals are in random order: a model can then find what
                it needs by name only, and not by its place, which depends on the problem's size.
        """
        chance = random.Random(f"{self.domain}/{size}/{seed}")  # noqa: S311 - no secret
        objects, init, goals = self.make(size, chance)
        if is_shuffled:
            init, goals = chance.sample(init, len(init)), chance.sample(goals, len(goals))
        name = self.name.format(*size, seed=seed)
        facts = (
            f"  (:objects {objects})\n"
            f"  (:init {' '.join(init)})\n  (:goal (and {' '.join(goals)})))\n"
        )
        facts = renumbered(facts, chance)[0] if is_shuffled else facts
        text = f"(define (problem {name})\n  (:domain {self.domain})\n{facts}"
        return GeneratedProblem(self.domain, name, text)


@cache
def domain_text(name: DomainName) -> str:
    """The PDDL of a domain."""
    return files("planning.domains").joinpath(f"{name}.pddl").read_text()


def generators() -> Mapping[DomainName, Generator]:
    """The generator of each domain."""
    return {one.domain: one for one in _GENERATORS}


def _blocksworld(size: Size, chance: random.Random) -> tuple[str, Facts, Facts]:
    (blocks,) = size
    names = [f"b{number}" for number in range(1, blocks + 1)]
    init, goal = _towers(names, chance), _towers(names, chance)
    while _on(goal) <= _on(init):
        goal = _towers(names, chance)
    facts = ["(hand-empty)"]
    facts += [f"(on {upper} {lower})" for upper, lower in sorted(_on(init))]
    facts += [f"(on-table {tower[0]})" for tower in init]
    facts += [f"(clear {tower[-1]})" for tower in init]
    return " ".join(names), facts, [f"(on {upper} {lower})" for upper, lower in sorted(_on(goal))]


def _towers(names: Sequence[str], chance: random.Random) -> list[list[str]]:
    """Blocks in towers, from the table upwards."""
    towers: list[list[str]] = []
    for name in chance.sample(names, len(names)):
        place = chance.randrange(len(towers) + 1)
        if place == len(towers):
            towers.append([name])
        else:
            towers[place].append(name)
    return towers


def _on(towers: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    return {pair for tower in towers for pair in zip(tower[1:], tower, strict=False)}


def _ferry(size: Size, chance: random.Random) -> tuple[str, Facts, Facts]:
    locations, cars = size
    places = [f"l{number}" for number in range(1, locations + 1)]
    named = [f"c{number}" for number in range(1, cars + 1)]
    init, goals = [f"(at-ferry {chance.choice(places)})", "(empty)"], []
    for car in named:
        start, end = chance.sample(places, 2)
        init.append(f"(at {car} {start})")
        goals.append(f"(at {car} {end})")
    return f"{' '.join(places)} - location {' '.join(named)} - car", init, goals


def _grippers(size: Size, chance: random.Random) -> tuple[str, Facts, Facts]:
    robots, rooms, balls = size
    places = [f"room{number}" for number in range(1, rooms + 1)]
    named = [f"ball{number}" for number in range(1, balls + 1)]
    robbies = [f"robot{number}" for number in range(1, robots + 1)]
    init: list[str] = []
    hands: list[str] = []
    for number, robot in enumerate(robbies, start=1):
        init.append(f"(at-robby {robot} {chance.choice(places)})")
        for side in ("left", "right"):
            hands.append(f"{side}{number}")
            init.append(f"(free {robot} {side}{number})")
    goals = []
    for ball in named:
        start, end = chance.sample(places, 2)
        init.append(f"(at {ball} {start})")
        goals.append(f"(at {ball} {end})")
    objects = (
        f"{' '.join(places)} - room {' '.join(named)} - ball {' '.join(robbies)} - robot "
        f"{' '.join(hands)} - gripper"
    )
    return objects, init, goals


def _spanner(size: Size, chance: random.Random) -> tuple[str, Facts, Facts]:
    spanners, nuts, locations = size
    places = ["shed", *(f"l{number}" for number in range(1, locations + 1)), "gate"]
    tools = [f"s{number}" for number in range(1, spanners + 1)]
    loose = [f"n{number}" for number in range(1, nuts + 1)]
    init = ["(at-man bob shed)"]
    init += [f"(link {x} {y})" for x, y in pairwise(places)]
    for tool in tools:
        init += [f"(at-spanner {tool} {chance.choice(places[1:-1])})", f"(useable {tool})"]
    for nut in loose:
        init += [f"(at-nut {nut} gate)", f"(loose {nut})"]
    objects = (
        f"{' '.join(places)} - location bob - man {' '.join(tools)} - spanner "
        f"{' '.join(loose)} - nut"
    )
    return objects, init, [f"(tightened {nut})" for nut in loose]


_GENERATORS = (
    Generator(
        "blocksworld",
        "bw_ops4_n{0}_seed{seed}",
        ((3,), (4,), (5,), (6,)),
        ((7,), (8,)),
        _blocksworld,
    ),
    Generator(
        "ferry",
        "ferry-l{0}-c{1}-s{seed}",
        ((2, 1), (3, 1), (3, 2), (5, 2), (3, 3), (5, 3), (7, 3)),
        ((4, 3), (6, 3)),
        _ferry,
    ),
    Generator(
        "grippers",
        "grippers-n{0}-r{1}-o{2}-s{seed}",
        ((1, 2, 1), (1, 2, 2), (1, 3, 2), (1, 3, 3), (1, 4, 3), (2, 3, 3)),
        ((1, 4, 4), (1, 5, 4), (2, 4, 4)),
        _grippers,
    ),
    Generator(
        "spanner",
        "spanner-s{0}-n{1}-l{2}-s{seed}",
        ((1, 1, 1), (1, 1, 2), (2, 1, 2), (2, 2, 2), (2, 2, 3), (3, 2, 3), (3, 3, 3)),
        ((3, 3, 4), (4, 3, 4), (4, 4, 4)),
        _spanner,
    ),
)
