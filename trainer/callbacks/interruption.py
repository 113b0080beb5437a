"""Ctrl-C, and the SIGTERM of a machine that is taken away: a checkpoint, and then the end.

A step on a CPU may take minutes, and a pause for a service that is gone longer still. So a signal
ends the step at once where nothing is being changed: the weights are those of the step before, and
a resumed run makes this one anew. While weights change or a checkpoint is written, and where
several ranks train, who must end together, the run ends when that is done. When that is,
:class:`trainer.callbacks.control.InterruptionCallback` says.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupted", "Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HASTE_S = 1.0
"""Ctrl-C sooner than this after the first signal is the same one: a terminal sends it to a launcher
and to its processes, and the launcher sends it on."""

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interrupted(BaseException):
    """A signal came while nothing was being changed. Never leaves the package."""


class Interruption:
    """Takes the signals of a run while it is entered; in threads but the main one it takes none.

    Args:
        ask: Called once with the reason, when a signal comes.
        is_at_once: Whether a step may be broken off.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ask: Callable[[str], None],
        is_at_once: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._is_at_once = is_at_once
        self._clock = clock
        self._before: dict[int, _Handler] = {}
        self._asked_at: float | None = None
        self._is_safe = True
        self.reason: str | None = None
        """What came; None as long as nothing has."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._take) for one in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def allow(self, is_safe: bool) -> None:
        """Says whether a signal may break off what is being done; one that waited does so now.

        Raises:
            Interrupted: One did.
        """
        self._is_safe = is_safe
        if is_safe and self._is_at_once and self.reason is not None:
            self._is_safe = False
            raise Interrupted

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = self._clock()
        if self._asked_at is not None:
            if number == signal.SIGINT and now - self._asked_at > _HASTE_S:
                raise KeyboardInterrupt
            return
        self._asked_at = now
        self.reason = f"the training was interrupted ({signal.Signals(number).name})"
        self._ask(self.reason)
        # Not by way of sys.stderr, which this may have come in the middle of.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAID)
        if self._is_safe and self._is_at_once and not _is_importing(frame):
            self._is_safe = False
            raise Interrupted


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the machinery of imports was at work, as it often is where packages are looked for.

    Breaking that off may leave the lock of all imports taken, and then the next import of any other
    thread waits for ever: that of the rewards, for one. The signal waits for the next safe moment.
    """
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


_SAID = b"greenfork: saving a checkpoint; Ctrl-C once more ends the run without\n"
