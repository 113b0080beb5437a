"""Ctrl-C and SIGTERM: the run saves a checkpoint and ends.

A step on a CPU may take minutes, and waiting for an unavailable service even longer. A signal
therefore aborts the step at once if nothing is being changed: the weights are those of the previous
step, and a resumed run repeats this one. While weights change or a checkpoint is written, and with
several ranks, which must end together, the run ends after that.
:class:`trainer.callbacks.control.InterruptionCallback` says when aborting is safe.
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
"""Ctrl-C within this time after the first signal counts as the same one: a terminal sends it to a
launcher and its processes, and the launcher forwards it."""

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interrupted(BaseException):
    """A signal arrived while nothing was being changed. Never leaves the package."""


class Interruption:
    """Handles signals while it is entered; only in the main thread.

    Args:
        ask: Called once with the reason when a signal arrives.
        is_at_once: Whether a step may be aborted.
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
        """The signal that arrived; None until one does."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._take) for one in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def allow(self, is_safe: bool) -> None:
        """Sets whether a signal may abort the current work; a pending one does so now.

        Raises:
            Interrupted: A signal was pending.
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
        # Not through sys.stderr: the signal may have interrupted a write to it.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAID)
        if self._is_safe and self._is_at_once and not _is_importing(frame):
            self._is_safe = False
            raise Interrupted


def _is_importing(frame: FrameType | None) -> bool:
    """Whether an import was in progress.

    Aborting it may leave the import lock held, and then the next import in another thread, such as
    that of the rewards, waits for ever. The signal waits for the next safe moment instead.
    """
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


_SAID = b"greenfork: saving a checkpoint; press Ctrl-C again to quit without it\n"
