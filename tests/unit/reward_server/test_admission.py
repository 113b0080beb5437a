"""Bounded admission."""

import pytest

from reward_server.admission import Admission
from shared.errors import Overloaded


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


def refusal(admission: Admission, items: int) -> Overloaded:
    """The error of a request that does not fit."""
    with pytest.raises(Overloaded) as caught, admission.admitted(items):
        pass
    return caught.value


def test_room_is_given_back() -> None:
    """Whether the work went well or not."""
    admission = Admission(2)
    with pytest.raises(ZeroDivisionError), admission.admitted(2):
        raise ZeroDivisionError
    with admission.admitted(2):
        assert admission.pending_items == 2
    assert admission.pending_items == 0


def test_wait_follows_the_throughput() -> None:
    """300 items in the last 30 s are 10 a second: room for 50 comes in 5 s."""
    clock = Clock()
    admission = Admission(300, clock)
    with admission.admitted(300):
        clock.now_s = 10.0
    with admission.admitted(300):
        assert refusal(admission, 50).retry_after_s == 5


def test_unknown_throughput_is_not_called_fast() -> None:
    """Where nothing was done lately, the longest wait is named."""
    clock = Clock()
    admission = Admission(10, clock)
    with admission.admitted(10):
        clock.now_s = 1.0
    clock.now_s = 100.0
    with admission.admitted(10):
        assert refusal(admission, 1).retry_after_s == 60
