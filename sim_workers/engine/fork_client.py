"""The owner's side of the simulation processes: starting, asking and ending holders.

The other side is :mod:`sim_workers.engine.fork_server`.
"""

import contextlib
import math
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import IO, Self, TypeVar

from shared.errors import HolderLost, RolloutRejected
from sim_workers.engine.custom.installed import InstalledMetric, installed_metrics
from sim_workers.engine.custom.loading import as_argument
from sim_workers.engine.messages import (
    HOLDER,
    KEEPER,
    REPLY,
    Cancel,
    Failed,
    Keep,
    Open,
    Ready,
    Replay,
    Reply,
    Request,
    Save,
    Spawn,
    Spawned,
)
from sim_workers.sandbox.confinement import confined_module, environment

__all__ = ["ForkServer", "SimulationHandle"]

_FORK_SERVER = "sim_workers.engine.fork_server"
_UNLIMITED_BYTES = 1 << 62
_START_LIMIT_S = 60.0
_LONGEST_MS = 2**31 - 1
"""The longest that a poll can wait."""
_LOG_TAIL_BYTES = 2_000
_FAULT = re.compile(r"Fatal Python error: (.*)")
_SIGNALS = {
    "Segmentation fault": "SIGSEGV (signal 11, a fault in SUMO itself)",
    "Aborted": "SIGABRT (signal 6)",
    "Bus error": "SIGBUS (signal 7)",
    "Floating-point exception": "SIGFPE (signal 8)",
    "Illegal instruction": "SIGILL (signal 4)",
}
_Reply = TypeVar("_Reply", bound=Reply)


class ForkServer:
    """Makes holders by forking a process that has imported everything. Use it as a context manager.

    Any thread may ask for a holder; using the holder is that thread's own business.

    Args:
        max_memory_bytes: Private memory of each simulation process; one that needs more ends
            with ``out_of_memory``. None: only rollouts are limited, relative to their start.
        with_metrics: Whether rollouts may ask for metrics that installed packages add.
    """

    def __init__(self, max_memory_bytes: int | None = None, with_metrics: bool = False) -> None:
        self._max_memory_bytes = max_memory_bytes
        self._with_metrics = with_metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts it ahead of use, in a process that is about to give up executing programs."""
        with self._lock:
            self._running()

    def open(self, request: Open, limit_s: float = _START_LIMIT_S) -> "SimulationHandle":
        """Starts a holder and its simulation.

        Raises:
            RolloutRejected: SUMO refuses the scenario or the state.
            HolderLost: The process died or did not answer in ``limit_s`` seconds.
        """
        holder = self._fork_holder()
        try:
            holder.call(request, Ready, limit_s)
        except RolloutRejected as exc:
            words = f"{exc.message}{holder.last_words()}"
            holder.kill()
            raise RolloutRejected(words) from exc
        except BaseException:
            holder.kill()
            raise
        return holder

    def close(self) -> None:
        """Ends the fork server and all remaining holders."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._process = self._control = None

    def keep(self, holder: "SimulationHandle") -> None:
        """Has a holder's rollouts done by a process that is put back after each one.

        Raises:
            HolderLost: A process died.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            self._fork(KEEPER, theirs, holder.log)
            holder.send_with(Keep(), ours)

    def _fork_holder(self) -> "SimulationHandle":
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the holder
        try:
            pid = self._fork(HOLDER, theirs, log)
        except HolderLost:
            ours.close()
            log.close()
            raise
        return SimulationHandle(pid, Connection(ours.detach()), log)

    def _fork(self, what: bytes, connection: socket.socket, log: IO[bytes]) -> int:
        """Forks a process with a connection, which is closed here, and a log; returns its id."""
        with self._lock, connection:
            control = self._running()
            try:
                socket.send_fds(control, [what], [connection.fileno(), log.fileno()])
                pid = int.from_bytes(control.recv(4, socket.MSG_WAITALL), "big")
            except OSError:
                pid = 0
            if pid == 0:
                self.close()
                raise HolderLost("the fork server died")
        return pid

    def _running(self) -> socket.socket:
        """The control socket of a live fork server, which is started if there is none."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._control is None:
            self._control, theirs = socket.socketpair()
            metrics = installed_metrics() if self._with_metrics else ()
            with theirs:
                self._process = subprocess.Popen(
                    confined_module(
                        [metric.module for metric in metrics],
                        *(_FORK_SERVER, str(theirs.fileno()), *self._arguments(metrics)),
                    ),
                    env=environment(metric.root for metric in metrics),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        return self._control

    def _arguments(self, metrics: Sequence[InstalledMetric]) -> list[str]:
        limit = self._max_memory_bytes
        if metrics:
            return [str(_UNLIMITED_BYTES if limit is None else limit), as_argument(metrics)]
        return [] if limit is None else [str(limit)]


class SimulationHandle:
    """One simulation process. Use it as a context manager, or close it.

    One thread asks and waits; another thread may call :meth:`cancel` meanwhile.
    """

    def __init__(self, pid: int, connection: Connection, log: IO[bytes]) -> None:
        self.pid = pid
        self.log = log
        self._connection = connection
        self._sending = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, request: Request, reply: type[_Reply], limit_s: float) -> _Reply:
        """Sends a request and waits for the answer, which is of the given type.

        Raises:
            HolderLost: The process died, or did not answer in ``limit_s`` seconds.
            GreenforkError: It reported an error; the class is that of the error's code.
        """
        self.send(request)
        return self.receive(reply, limit_s)

    def send(self, request: Request) -> None:
        """Sends a request; :meth:`receive` fetches the answer.

        A file to be saved is created here and handed over: the process cannot create any.

        Raises:
            HolderLost: The process has died.
            OSError: The file cannot be created.
        """
        path = Path(request.path) if isinstance(request, Save) else None
        with contextlib.nullcontext() if path is None else path.open("wb") as target:
            self.send_with(request, *([] if target is None else [target]))

    def send_with(self, request: Request, *files: IO[bytes] | socket.socket) -> None:
        """Sends a request and hands over descriptors.

        Raises:
            HolderLost: The process has died.
        """
        try:
            with self._sending:
                self._connection.send_bytes(request.model_dump_json().encode())
                for file in files:
                    send_handle(self._connection, file.fileno(), self.pid)
        except OSError as exc:
            raise HolderLost(f"the simulation process died{self.last_words()}") from exc

    def cancel(self, ticket: int) -> None:
        """Ends the rollout with that ticket if it is running. Whoever waits for it is told."""
        with contextlib.suppress(HolderLost):
            self.send(Cancel(ticket=ticket))

    def receive(self, reply: type[_Reply], limit_s: float) -> _Reply:
        """Waits for the answer to what was sent; raises the same errors as :meth:`call`."""
        try:
            poll = select.poll()  # a tenth of the time that the connection's own takes
            poll.register(self._connection, select.POLLIN)
            if not poll.poll(min(math.ceil(limit_s * 1000), _LONGEST_MS)):
                self.kill()
                raise HolderLost(f"the simulation process did not answer in {limit_s:g} s")
            answer = REPLY.validate_json(self._connection.recv_bytes())
        except (EOFError, OSError) as exc:
            raise HolderLost(f"the simulation process died{self.last_words()}") from exc
        if isinstance(answer, Failed):
            raise answer.error.to_error()
        if not isinstance(answer, reply):
            raise HolderLost(f"the simulation process answered {answer.verb} out of turn")
        return answer

    def spawn(self, limit_s: float) -> "SimulationHandle":
        """Another holder of the same simulation, at its present time.

        Raises:
            HolderLost: The process died or did not answer in ``limit_s`` seconds.
        """
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the holder
        try:
            with theirs:
                self.send_with(Spawn(), theirs, log)
                pid = self.receive(Spawned, limit_s).pid
        except BaseException:
            ours.close()
            log.close()
            raise
        return SimulationHandle(pid, Connection(ours.detach()), log)

    def time_s(self, limit_s: float) -> float:
        """Its time, unless that is before 0: a replay to a time in the past does nothing."""
        return self.call(Replay(to_s=0), Ready, limit_s).time_s

    def own_memory_mb(self) -> float:
        """Private memory of the process in MB; 0 if it has died."""
        try:
            lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0.0
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

    def close(self) -> None:
        """Releases the process: it exits when its connection closes. Harmless when repeated."""
        self._connection.close()
        self.log.close()

    def kill(self) -> None:
        """Ends the process immediately, even during a rollout."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.close()

    def last_words(self) -> str:
        """The end of what SUMO printed, for the error message."""
        said = self.said(_LOG_TAIL_BYTES)
        fault = _FAULT.search(said)
        words = (said[: fault.start()] if fault else said).strip()
        if fault is None:
            return f": {words}" if words else ""
        last = f"; its last output: {words.splitlines()[-1]}" if words else ""
        return f": SUMO was killed by {_SIGNALS.get(fault[1], fault[1])}{last}"

    def said(self, max_bytes: int) -> str:
        """The end of what SUMO printed, at most so many bytes."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - max_bytes))
        return self.log.read().decode(errors="replace").strip()
