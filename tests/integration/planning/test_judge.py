"""Plans judged by unified-planning, in a process that can be killed."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from planning.generators import domain_text, generators
from planning.judge import Judge
from planning.verdicts import PlanMetrics
from shared.errors import InvalidDecision, ProblemError, RolloutTimeout
from shared.language.plans import Step

pytest.importorskip("unified_planning", reason="greenfork[planning] is not installed")

_BLOCKS = domain_text("blocksworld")
_PROBLEM = """(define (problem three) (:domain blocksworld) (:objects a b c)
 (:init (hand-empty) (on-table a) (on-table b) (on c a) (clear b) (clear c))
 (:goal (and (on b c) (on-table a) (clear a))))
"""
_SOLUTION: tuple[Step, ...] = (
    ("unstack", "c", "a"),
    ("put-down", "c"),
    ("pick-up", "b"),
    ("stack", "b", "c"),
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One process for all tests here."""
    with Judge() as judge:
        yield judge


def test_a_plan_that_reaches_the_goals(judge: Judge) -> None:
    """Everything is 1, and the cost is its length."""
    assert judge.judge(_BLOCKS, _PROBLEM, _SOLUTION) == PlanMetrics(
        is_valid=1, executable_share=1, goals_share=1, steps=4, cost=4
    )


def test_a_step_whose_precondition_fails_is_scored(judge: Judge) -> None:
    """What could be executed before it counts, and nothing after it does."""
    steps = (*_SOLUTION[:2], ("stack", "b", "c"), *_SOLUTION[2:])
    assert judge.judge(_BLOCKS, _PROBLEM, steps) == PlanMetrics(
        is_valid=0, executable_share=2 / 5, goals_share=2 / 3, steps=5, cost=2
    )


def test_the_cost_is_the_problems_own_metric(judge: Judge) -> None:
    """Costs of actions add up over the executed part."""
    domain = """(define (domain d) (:requirements :action-costs) (:predicates (at ?x) (road ?x ?y))
     (:functions (total-cost) - number (length ?x ?y) - number)
     (:action go :parameters (?x ?y) :precondition (and (at ?x) (road ?x ?y))
      :effect (and (at ?y) (not (at ?x)) (increase (total-cost) (length ?x ?y)))))"""
    problem = """(define (problem p) (:domain d) (:objects a b c)
     (:init (at a) (road a b) (road b c) (= (length a b) 3) (= (length b c) 4) (= (total-cost) 0)
      (= (length a a) 0) (= (length b b) 0) (= (length c c) 0) (= (length b a) 0)
      (= (length c b) 0) (= (length a c) 0) (= (length c a) 0))
     (:goal (at c)) (:metric minimize (total-cost)))"""
    whole = judge.judge(domain, problem, [("go", "a", "b"), ("go", "b", "c")])
    half = judge.judge(domain, problem, [("go", "a", "b"), ("go", "a", "b")])
    assert (whole.is_valid, whole.cost) == (1, 7)
    assert (half.is_valid, half.cost) == (0, 3)


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        (("fly", "a"), "unknown_action", "no action 'fly'; it has pick-up, put-down"),
        (("stack", "a"), "wrong_arguments", "takes 2 arguments, not 1"),
        (("pick-up", "z"), "wrong_arguments", "no object 'z'"),
    ],
)
def test_what_is_no_step_of_the_domain_is_invalid(
    judge: Judge, step: Step, code: str, words: str
) -> None:
    """It has a code and says which step, even where an earlier step fails."""
    with pytest.raises(InvalidDecision, match=words) as refused:
        judge.judge(_BLOCKS, _PROBLEM, [("pick-up", "a"), step])
    assert refused.value.code == code
    assert refused.value.message.startswith("step 2:")


def test_an_object_of_another_type_is_a_wrong_argument(judge: Judge) -> None:
    """Types are checked."""
    ferry = generators()["ferry"].problem((2, 1), 1).text
    with pytest.raises(InvalidDecision, match="of the type") as refused:
        judge.judge(domain_text("ferry"), ferry, [("sail", "l1", "c1")])
    assert refused.value.code == "wrong_arguments"


@pytest.mark.parametrize(
    ("domain", "problem", "code", "words"),
    [
        (_BLOCKS.replace(":effect", ":efect", 1), _PROBLEM, "bad_pddl", "the domain, line"),
        (_BLOCKS, _PROBLEM.replace("on b c", "over b c"), "bad_pddl", "line: 3"),
        (_BLOCKS, _PROBLEM.replace("on b c", "on b"), "bad_pddl", "line: 3"),
        (_BLOCKS, _PROBLEM[:-3], "bad_pddl", r"expected \) for the \( of line"),
        (
            _BLOCKS,
            _PROBLEM.replace("blocksworld", "ferry"),
            "wrong_domain",
            "belongs to the domain",
        ),
        (_BLOCKS, _PROBLEM.replace("(:domain blocksworld)", ""), "no_domain", "add"),
    ],
)
def test_pddl_that_does_not_parse(
    judge: Judge, domain: str, problem: str, code: str, words: str
) -> None:
    """It is refused with a code, the line, and what was expected; the process lives on."""
    with pytest.raises(ProblemError, match=words) as refused:
        judge.check(domain, problem)
    assert refused.value.code == code
    judge.check(_BLOCKS, _PROBLEM)


def test_what_takes_long_is_killed(judge: Judge) -> None:
    """A problem that would take minutes to ground ends after its limit, and the next one works."""
    objects = " ".join(f"o{number}" for number in range(300))
    arguments = " ".join(f"?x{number}" for number in range(4))
    domain = f"(define (domain d) (:predicates (p {arguments})) (:action a :parameters () " + (
        f":precondition () :effect (forall ({arguments}) (p {arguments}))))"
    )
    problem = (
        f"(define (problem p) (:domain d) (:objects {objects}) (:init) (:goal (p o1 o1 o1 o1)))"
    )
    judge.check(_BLOCKS, _PROBLEM)
    starts = judge.starts
    with pytest.raises(RolloutTimeout):
        judge.judge(domain, problem, [("a",)], limit_s=1.0)
    assert judge.judge(_BLOCKS, _PROBLEM, _SOLUTION).is_valid == 1
    assert judge.starts == starts + 1


def test_a_walk_is_legal_and_follows_from_its_seed(judge: Judge) -> None:
    """Every step of a walk can be executed; other seeds walk elsewhere."""
    ferry, problem = domain_text("ferry"), generators()["ferry"].problem((4, 3), 5).text
    walks = [judge.walk(ferry, problem, seed, 20) for seed in (1, 1, 2)]
    assert walks[0] == walks[1] != walks[2]
    assert judge.judge(ferry, problem, walks[0]).executable_share == 1


def test_secrets_of_the_service_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where strangers' texts are parsed there is nothing to be had."""
    monkeypatch.setenv("GREENFORK_SERVER_DATABASE_URL", "postgresql://user:secret@host/base")
    with Judge() as judge:
        judge.check(_BLOCKS, _PROBLEM)
        told = [_environment_of(p) for p in psutil.Process().children() if _is_judge(p)]
    assert told
    assert not any("secret" in text for text in told)


def _is_judge(process: psutil.Process) -> bool:
    try:
        return "planning.process" in process.cmdline()
    except psutil.Error:  # another test's, which has ended
        return False


def _environment_of(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/environ").read_text()
