"""What PDDL texts say of themselves, and where they are refused."""

import pytest

from planning.texts import MAX_BYTES, MAX_DEPTH, Outline, domain_outline, problem_outline
from shared.errors import ProblemError

_PROBLEM = "(define (problem p)\n  (:domain D) ; of the Alps\n  (:goal (and)))\n"


def test_a_problem_names_its_domain() -> None:
    """Names are in lower case, and comments are passed over."""
    assert problem_outline(_PROBLEM) == Outline("p", "d")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("(define (problem p)\n  (:domain d)\n", "line 3", ") for the ( of line 1"),
        ("(define (problem p) (:domain d)))", "line 1", "the end of the text"),
        ("(define (problem p) (:domain d))\n\n(more)", "line 3", "the end of the text"),
        ("\n(defun (problem p))", "line 2", "(define (problem NAME)"),
        ("(define (domain p))", "line 1", "(define (problem NAME)"),
        ("(define (problem (p)))", "line 1", "the name of the problem"),
        ("; nothing\n", "line 1", "(define (problem NAME)"),
        ("(define (problem p)\n (:domain é))", "line 2", "letters, digits, - and _"),
    ],
)
def test_what_does_not_parse_names_the_line_and_what_was_expected(
    text: str, line: str, expected: str
) -> None:
    """Whoever wrote it finds the place."""
    with pytest.raises(ProblemError) as refused:
        problem_outline(text)
    assert refused.value.code == "bad_pddl"
    assert line in refused.value.message
    assert f"expected {expected}" in refused.value.message


def test_a_problem_without_its_domain() -> None:
    """It says so, and what to add."""
    with pytest.raises(ProblemError, match=r"add \(:domain NAME\)") as refused:
        problem_outline("(define (problem p) (:goal (and)))")
    assert refused.value.code == "no_domain"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(define (domain d)" + " " * MAX_BYTES + ")", "too_large"),
        ("(define (domain d) " + "(" * MAX_DEPTH + ")" * MAX_DEPTH + ")", "too_deep"),
        ("(" * 200_000, "too_deep"),
    ],
)
def test_texts_are_bounded(text: str, code: str) -> None:
    """Long ones and deep ones are refused before anything reads them in full."""
    with pytest.raises(ProblemError) as refused:
        domain_outline(text)
    assert refused.value.code == code
