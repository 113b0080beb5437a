"""Control of the process that parses PDDL: started when needed, killed when it takes too long.

It handles one question at a time; another thread may call :meth:`Judge.kill` meanwhile.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from planning.messages import Question, Verdict
from planning.texts import domain_outline, problem_outline
from planning.verdicts import PlanMetrics
from shared.errors import ConfigError, RolloutCrashed, RolloutTimeout
from shared.language.plans import Step

__all__ = ["Judge"]

_START_S = 60.0
"""Longer than it takes to import unified-planning, even on a busy machine."""
_CHECK_S = 20.0
_MODULE = "planning.process"
_NEEDED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
"""Environment variables that it has, too; the service's secrets are among the others."""


class Judge:
    """Validates plans in a separate process.

    Args:
        limit_s: Wall-clock seconds that one question may take once the process is ready. After
            that, the process is killed and the question fails.
    """

    def __init__(self, limit_s: float = _CHECK_S) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._lock = threading.Lock()
        self.starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def check(self, domain: str, problem: str) -> None:
        """Checks that a problem can be parsed.

        Raises:
            ProblemError: It cannot; the message says where, and what was expected there.
            RolloutError: Parsing it takes too long or too much memory.
        """
        problem_outline(problem)
        domain_outline(domain)
        self._answered(Question(verb="check", domain=domain, problem=problem))

    def judge(
        self, domain: str, problem: str, steps: Sequence[Step], limit_s: float | None = None
    ) -> PlanMetrics:
        """The metrics of a plan.

        Args:
            domain: The domain in PDDL.
            problem: The problem in PDDL.
            steps: The plan; at least one step.
            limit_s: Seconds after which nobody waits for the result any more.

        Raises:
            InvalidDecision: The domain has no such step.
            ProblemError: The problem cannot be parsed.
            RolloutError: Validation takes too long or too much memory, or the process died.
        """
        question = Question(domain=domain, problem=problem, steps=tuple(steps))
        metrics = self._answered(question, limit_s).metrics
        assert metrics is not None, "a plan has metrics, or an error"  # noqa: S101
        return metrics

    def walk(self, domain: str, problem: str, seed: int, most: int) -> tuple[Step, ...]:
        """A random walk of legal steps; arguments and errors as for :meth:`judge`."""
        question = Question(verb="walk", domain=domain, problem=problem, seed=seed, most=most)
        return self._answered(question).walk or ()

    def kill(self) -> None:
        """Ends the process and whatever it is doing."""
        with self._lock:
            process, line = self._process, self._line
            self._process = self._line = None
        if process is not None and line is not None:
            process.kill()
            process.wait()
            line.close()

    def _answered(self, question: Question, limit_s: float | None = None) -> Verdict:
        until_s = time.monotonic() + limit_s if limit_s is not None else None
        line = self._ready(until_s)
        left_s = self._limit_s
        if until_s is not None:
            left_s = min(left_s, max(0.0, until_s - time.monotonic()))
        try:
            line.send_bytes(question.model_dump_json().encode())
            if not line.poll(left_s):
                self.kill()
                raise RolloutTimeout(f"validating the plan took longer than {left_s:.3g} s")
            verdict = Verdict.model_validate_json(line.recv_bytes())
        except (EOFError, OSError) as exc:
            self.kill()
            raise RolloutCrashed("the process that validates plans died") from exc
        verdict.check()
        return verdict

    def _ready(self, until_s: float | None) -> Connection:
        """The connection to the process, which is started if necessary."""
        with self._lock:
            if self._process is None or self._line is None or self._process.poll() is not None:
                self._start()
                is_new = True
            else:
                is_new = False
            process, line = self._process, self._line
        assert process is not None, "it was started"  # noqa: S101
        assert line is not None, "it was started"  # noqa: S101
        if is_new:
            left_s = _START_S if until_s is None else max(0.0, until_s - time.monotonic())
            self._greet(line, min(left_s, _START_S))
        return line

    def _greet(self, line: Connection, left_s: float) -> None:
        try:
            if line.poll(left_s) and line.recv_bytes() == b"ready":
                return
        except (EOFError, OSError) as exc:
            self.kill()
            raise ConfigError(
                "the plan validator does not start: install greenfork[planning], which includes "
                "unified-planning"
            ) from exc
        self.kill()
        raise RolloutTimeout(f"the plan validator did not start within {left_s:.3g} s")

    def _start(self) -> None:
        if self._line is not None:
            self._line.close()
        own, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                start_new_session=True,
                env=_environment(),
            )
        self._line = Connection(own.detach())
        self.starts += 1


def _environment() -> dict[str, str]:
    needed = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    return needed | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
