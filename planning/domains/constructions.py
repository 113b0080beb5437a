"""Plans for generated problems, by the arguments that show that these can be solved.

They need no planner and no search, and are longer than necessary: one car, ball or block is dealt
with after the other. The facts are those that :mod:`planning.generators` writes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from planning.texts import problem_outline
from shared.errors import ConfigError
from shared.language.plans import Step

__all__ = ["Construction", "least_steps"]

_FACT = re.compile(r"\(([^():]+)\)")

Facts = Sequence[Step]


class Construction:
    """The planner ``construction``."""

    name = "construction"

    def solve(self, domain: str, problem: str) -> tuple[Step, ...] | None:
        """A plan.

        Raises:
            ConfigError: The problem is of none of the domains that can be generated.
        """
        own = problem_outline(problem).domain
        construct = _CONSTRUCTIONS.get(own)
        if construct is None:
            raise ConfigError(
                f"--planner construction has no plans for the domain {own}: use another planner"
            )
        return tuple(construct(*_sections(problem)))


def least_steps(problem: str) -> int:
    """A number of steps that no plan for a generated problem can do without.

    In each of the four domains a goal that does not hold yet takes two steps of its own: board and
    debark, pick and drop, pick up and tighten, pick up and stack.

    >>> least_steps("(:init (at-ferry l1) (empty) (at c1 l2)) (:goal (and (at c1 l1)))")
    2
    """
    init, goals = _sections(problem)
    return 2 * len(set(goals) - set(init))


def _sections(problem: str) -> tuple[Facts, Facts]:
    """The initial facts, and the goals."""
    init, _, goals = problem.partition("(:init")[2].partition("(:goal")
    return _facts(init), _facts(goals)


def _facts(text: str) -> Facts:
    return [tuple(fact.split()) for fact in _FACT.findall(text)]


def _blocksworld(init: Facts, goals: Facts) -> Iterator[Step]:
    """All blocks onto the table, topmost first, and then each goal from the table upwards."""
    below = {fact[1]: fact[2] for fact in init if fact[0] == "on"}
    for top in (fact[1] for fact in init if fact[0] == "clear"):
        block = top
        while block in below:
            yield "unstack", block, below[block]
            yield "put-down", block
            block = below[block]
    wanted = {fact[1]: fact[2] for fact in goals}
    while wanted:
        block = next(one for one, support in wanted.items() if support not in wanted)
        yield "pick-up", block
        yield "stack", block, wanted.pop(block)


def _ferry(init: Facts, goals: Facts) -> Iterator[Step]:
    """One car after the other."""
    places = {fact[1]: fact[2] for fact in init if fact[0] == "at"}
    ferry = next(fact[1] for fact in init if fact[0] == "at-ferry")
    for _, car, goal in goals:
        start = places[car]
        if ferry != start:
            yield "sail", ferry, start
        yield "board", car, start
        yield "sail", start, goal
        yield "debark", car, goal
        ferry = goal


def _grippers(init: Facts, goals: Facts) -> Iterator[Step]:
    """One ball after the other, by the first robot and its first gripper."""
    rooms = {fact[1]: fact[2] for fact in init if fact[0] == "at"}
    _, robot, room = next(fact for fact in init if fact[0] == "at-robby")
    gripper = next(fact[2] for fact in init if fact[:2] == ("free", robot))
    for _, ball, goal in goals:
        start = rooms[ball]
        if room != start:
            yield "move", robot, room, start
        yield "pick", robot, ball, start, gripper
        yield "move", robot, start, goal
        yield "drop", robot, ball, goal, gripper
        room = goal


def _spanner(init: Facts, goals: Facts) -> Iterator[Step]:
    """From the shed to the gate, with every spanner on the way; then a nut with each."""
    after = {fact[1]: fact[2] for fact in init if fact[0] == "link"}
    _, man, place = next(fact for fact in init if fact[0] == "at-man")
    carried: list[str] = []
    while place in after:
        yield "walk", place, after[place], man
        place = after[place]
        for _, spanner, there in (fact for fact in init if fact[0] == "at-spanner"):
            if there == place:
                yield "pickup-spanner", place, spanner, man
                carried.append(spanner)
    for spanner, (_, nut) in zip(carried, goals, strict=False):
        yield "tighten-nut", place, spanner, man, nut


_CONSTRUCTIONS: Mapping[str, Callable[[Facts, Facts], Iterator[Step]]] = {
    "blocksworld": _blocksworld,
    "ferry": _ferry,
    "grippers": _grippers,
    "spanner": _spanner,
}
