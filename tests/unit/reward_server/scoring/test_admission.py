"""Bounded admission."""

from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_server.auth.callers import SCOPES, Caller
from reward_server.scoring.admission import Admission, retry_after_s
from shared.errors import Overloaded
from tests.unit.reward_server.world import Clock

TRAINER = Caller("trainer", SCOPES)
OTHER = Caller("other", SCOPES)


def refusal(admission: Admission, items: int) -> Overloaded:
    """The error of a request that does not fit."""
    with pytest.raises(Overloaded) as caught, admission.admitted(TRAINER, items):
        pass
    return caught.value


def test_room_is_given_back() -> None:
    """Whether the work went well or not."""
    admission = Admission(2)
    with pytest.raises(ZeroDivisionError), admission.admitted(TRAINER, 2):
        raise ZeroDivisionError
    with admission.admitted(TRAINER, 2):
        assert admission.pending_items == 2
    assert admission.pending_items == 0


def test_wait_follows_the_throughput() -> None:
    """300 items in the last 30 s are 10 a second: room for 50 comes in 5 s.

    That is for others; the caller's own share of it takes 84 items, 9 s.
    """
    clock = Clock()
    admission = Admission(300, clock, lambda: 0.0)
    with admission.admitted(OTHER, 300):
        clock.now_s = 10.0
    with admission.admitted(OTHER, 300):
        assert refusal(admission, 50).retry_after_s == 5
    clock.now_s = 20.0
    with admission.admitted(TRAINER, 300):
        clock.now_s = 100.0
    with admission.admitted(TRAINER, 300):
        assert refusal(admission, 50).retry_after_s == 9


def test_a_greedy_caller_of_large_requests_leaves_room_for_others() -> None:
    """The share holds with the request in it, not only before it."""
    admission = Admission(64)
    with ExitStack() as under_way:
        for _ in range(3):
            under_way.enter_context(admission.admitted(TRAINER, 16))
        refusal(admission, 16)
        under_way.enter_context(admission.admitted(OTHER, 16))


def test_a_caller_of_little_weight_is_let_in_where_there_is_room() -> None:
    """Its first request needs no share: it would never be let in."""
    admission = Admission(900)
    light = Caller("light", SCOPES, 0.001)
    with admission.admitted(OTHER, 100), admission.admitted(light, 800):
        pass


def test_unknown_throughput_is_not_called_fast() -> None:
    """Where nothing was done lately, the longest wait is named."""
    clock = Clock()
    admission = Admission(10, clock, lambda: 0.0)
    with admission.admitted(TRAINER, 10):
        clock.now_s = 1.0
    clock.now_s = 100.0
    with admission.admitted(TRAINER, 10):
        assert refusal(admission, 1).retry_after_s == 40


def test_refused_callers_come_back_one_by_one() -> None:
    """The same wait is named differently to each, up to half longer and never beyond a minute."""
    assert [retry_after_s(200, 10.0, rand) for rand in (0.0, 0.5, 0.99)] == [20, 25, 30]
    assert retry_after_s(10_000, 1.0, 0.99) <= 60


def test_a_greedy_caller_leaves_room_for_others() -> None:
    """One that sends and sends is refused before the room is gone, and another one is let in."""
    admission = Admission(900, lambda: 0.0, lambda: 0.0)
    with ExitStack() as under_way:
        for _ in range(800):
            under_way.enter_context(admission.admitted(TRAINER, 1))
        assert "800 of them yours" in refusal(admission, 1).message
        under_way.enter_context(admission.admitted(OTHER, 50))
        assert admission.pending_items == 850


def test_an_empty_service_takes_what_it_says() -> None:
    """A request as large as the limit is let in where nothing is under way."""
    admission = Admission(900)
    with admission.admitted(TRAINER, 900):
        assert refusal(admission, 1).retry_after_s >= 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 400)), max_size=60))
def test_never_more_than_the_limit(requests: list[tuple[str, int]]) -> None:
    """Whoever asks for whatever, what is under way fits, and all of it is given back."""
    admission = Admission(1000, lambda: 0.0, lambda: 0.0)
    with ExitStack() as under_way:
        for name, items in requests:
            with suppress(Overloaded):
                under_way.enter_context(admission.admitted(Caller(name, SCOPES), items))
            assert admission.pending_items <= 1000
    assert admission.pending_items == 0
