"""Signals end a run where nothing is being changed, and wait where something is."""

import os
import signal
import sys
import threading
from types import FrameType

import pytest

from trainer.callbacks.interruption import Interrupted, Interruption


class Clock:
    """Stands where it is put."""

    now = 0.0

    def __call__(self) -> float:
        """Its time."""
        return self.now


@pytest.fixture
def reasons() -> list[str]:
    """What was asked for."""
    return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_breaks_off_what_can_be_done_again(
    number: signal.Signals, reasons: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """At once, with the name of the signal; what comes afterwards is whole again."""
    with Interruption(reasons.append) as interruption:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), number)
        interruption.allow(is_safe=False)
    assert reasons == [f"the training was interrupted ({number.name})"]
    assert "saving a checkpoint" in capfd.readouterr().err


def test_waits_for_what_has_to_be_whole(reasons: list[str]) -> None:
    """And comes out when that is done."""
    with Interruption(reasons.append) as interruption:
        interruption.allow(is_safe=False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(reasons) == 1
        with pytest.raises(Interrupted):
            interruption.allow(is_safe=True)


def test_an_import_is_not_broken_off(reasons: list[str]) -> None:
    """Its lock would stay taken; the next safe moment is soon enough."""
    frames: list[FrameType] = []

    class Finder:
        def find_spec(self, *_: object) -> None:
            frames.append(sys._getframe(1))

    sys.meta_path.insert(0, Finder())
    try:
        with pytest.raises(ImportError):
            __import__("never_was")
    finally:
        del sys.meta_path[0]
    with Interruption(reasons.append) as interruption:
        handler = signal.getsignal(signal.SIGTERM)
        assert callable(handler)
        handler(signal.SIGTERM, frames[0])
        assert len(reasons) == 1
        with pytest.raises(Interrupted):
            interruption.allow(is_safe=True)


def test_ranks_are_asked_and_not_broken_off(reasons: list[str]) -> None:
    """They end together, after the step."""
    with Interruption(reasons.append, is_at_once=False) as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
        interruption.allow(is_safe=True)
    assert len(reasons) == 1


def test_second_ctrl_c_ends_all(reasons: list[str]) -> None:
    """Unless it is the first one, sent on by a launcher; another SIGTERM changes nothing."""
    clock = Clock()
    with Interruption(reasons.append, is_at_once=False, clock=clock):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        clock.now = 5.0
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(reasons) == 1


def test_signals_are_given_back(reasons: list[str]) -> None:
    """As they were; and in a thread of its own none is taken."""
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with Interruption(reasons.append):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before

    def enter() -> None:
        with Interruption(reasons.append):
            assert signal.getsignal(signal.SIGTERM) == before[1]
            reasons.append("entered")

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert reasons == ["entered"]
