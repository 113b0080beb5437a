"""A process that judges plans ends when it has grown, and is not taken for its parent."""

import mmap
import threading
from multiprocessing import Pipe

import pytest

from planning import process
from planning.messages import Question, Verdict

_DOMAIN = "(define (domain d) (:predicates (p)) (:action a :parameters () :effect (p)))"
_PROBLEM = "(define (problem q) (:domain d) (:init) (:goal (p)))"
_LARGE_BYTES = 64 * 2**20


def test_it_ends_after_the_answer_with_which_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question that made it grow is answered; the next one goes to another process."""
    sizes = iter((0, 10**12))
    monkeypatch.setattr(process, "_resident_bytes", lambda: next(sizes))
    ours, theirs = Pipe()
    thread = threading.Thread(target=process.main, args=(theirs,), daemon=True)
    thread.start()
    assert ours.recv_bytes() == b"ready"
    ours.send_bytes(
        Question(verb="check", domain=_DOMAIN, problem=_PROBLEM).model_dump_json().encode()
    )
    assert Verdict.model_validate_json(ours.recv_bytes()).error is None
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_size_is_that_of_now() -> None:
    """It falls again, which the greatest size so far, a parent's included, never does."""
    before = process._resident_bytes()
    with mmap.mmap(-1, _LARGE_BYTES) as large:
        large.write(b"1" * _LARGE_BYTES)
        grown = process._resident_bytes()
    assert grown - before > _LARGE_BYTES / 2
    assert grown - process._resident_bytes() > _LARGE_BYTES / 2
