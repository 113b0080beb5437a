"""The simulation processes: ``python -m sim_workers.holder FD``.

::

    actor, or builder                   owns sim_workers.processes
      └─ nursery                        this module's main: libsumo imported, nothing started
           └─ holder, one a simulation  SUMO started, at its begin or from a state
                └─ rollout, one a candidate   decides, steps, reports, exits

Every process here is single threaded and talks length-prefixed messages over its own socket, so
each can be forked at any moment. The nursery exists because importing costs ten times what opening
a small simulation does. A holder whose peer goes away exits, and takes its rollout with it.
"""

import array
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import NoReturn

from shared.errors import (
    ErrorInfo,
    GreenforkError,
    RolloutCrashed,
    RolloutError,
    RolloutRejected,
    RolloutTimeout,
)
from sim_workers.engine import SUMO_ERRORS, Simulation
from sim_workers.messages import (
    Advance,
    Describe,
    Described,
    Failed,
    Observe,
    Observed,
    Open,
    Ready,
    Reply,
    Request,
    RolledOut,
    Rollout,
    Save,
    decode_request,
)

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """The nursery: forks a holder for each socket it is sent, until its own is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps ended holders and rollouts
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while received := _receive_descriptors(control):
            pid = os.fork()
            if pid == 0:
                control.close()
                _become_holder(*received)
            for descriptor in received:
                os.close(descriptor)
            control.sendall(pid.to_bytes(4, "big"))


def _receive_descriptors(control: socket.socket) -> tuple[int, int] | None:
    """The socket and the log of the next holder; None when nobody wants one any more."""
    size = array.array("i").itemsize
    message, descriptors, _, _ = socket.recv_fds(control, 1, 2 * size)
    return (descriptors[0], descriptors[1]) if message else None


def _become_holder(connection: int, log: int) -> NoReturn:
    _die_with_parent()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _Holder(Connection(connection)).serve()
    except BaseException:  # noqa: BLE001  nothing may climb back into the nursery's loop
        traceback.print_exc()
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Holder:
    """Answers requests about one simulation, one at a time."""

    def __init__(self, peer: Connection) -> None:
        self._peer = peer
        self._simulation = Simulation()

    def serve(self) -> None:
        """Answers until the peer closes its end, which raises EOFError."""
        while True:
            request = decode_request(self._peer.recv_bytes())
            if isinstance(request, Rollout):
                self._roll_out(request)
            else:
                self._peer.send_bytes(_reply_of(partial(self._answer, request)))

    def _answer(self, request: Request) -> Reply:
        simulation = self._simulation
        match request:
            case Open(config=config, seed=seed, state_file=state_file):
                path = None if state_file is None else Path(state_file)
                time_s = simulation.open(Path(config), seed, path)
                gc.freeze()  # rollouts need not touch, and so copy, the pages of what is here now
                return Ready(time_s=time_s)
            case Describe():
                signals = simulation.describe(request.min_green_s, request.max_green_s)
                simulation.watch(signals.values())
                return Described(signals=signals)
            case Advance(to_s=to_s):
                return Ready(time_s=simulation.advance(to_s))
            case Observe(tls_ids=tls_ids):
                return Observed(
                    time_s=simulation.time_s,
                    signals=simulation.signal_states(),
                    counts={tls_id: simulation.counts(tls_id) for tls_id in tls_ids},
                )
            case Save(path=target):
                simulation.save(Path(target))
                return Ready(time_s=simulation.time_s)
            case Rollout():
                raise AssertionError("rollouts run in a child")

    def _roll_out(self, rollout: Rollout) -> None:
        """Runs a rollout in a forked child and passes its reply on.

        The kernel reaps the child: tearing down its thousand memory maps takes as long as forking
        it did, and neither the peer nor the next rollout need wait for that.
        """
        reader, writer = Pipe(duplex=False)
        child = os.fork()
        if child == 0:
            gc.disable()
            _die_with_parent()
            self._peer.close()
            reader.close()
            _report(writer, lambda: _rolled_out(self._simulation, rollout))
        writer.close()
        with reader:
            self._peer.send_bytes(self._await_child(child, reader, rollout.limit_s))

    def _await_child(self, child: int, reader: Connection, limit_s: float) -> bytes:
        """The child's reply, or a failure in its place; EOFError if the peer goes away."""
        ready = wait([reader, self._peer], limit_s)
        error: RolloutError
        if reader in ready:
            try:
                return reader.recv_bytes()
            except EOFError:
                error = RolloutCrashed("the rollout's process died without a word")
        else:
            os.kill(child, signal.SIGKILL)
            if self._peer in ready:  # a peer says nothing during a rollout: it has gone away
                raise EOFError
            error = RolloutTimeout(f"the rollout took longer than {limit_s:g} s and was ended")
        return _encode(Failed(error=ErrorInfo.of(error)))


def _rolled_out(simulation: Simulation, rollout: Rollout) -> RolledOut:
    if rollout.phase_remaining_s is not None:
        simulation.keep_phase(rollout.tls_id, rollout.phase_remaining_s)
    metrics, trace = simulation.observe_horizon(rollout.tls_id, rollout.horizon_s, rollout.trace_s)
    return RolledOut(metrics=metrics, trace=trace)


def _report(writer: Connection, work: Callable[[], Reply]) -> NoReturn:
    """Ends a child with the reply of its work."""
    try:
        writer.send_bytes(_reply_of(work))
    finally:
        os._exit(0)


def _reply_of(work: Callable[[], Reply]) -> bytes:
    """The boundary of a holder: whatever goes wrong becomes a reply."""
    try:
        return _encode(work())
    except GreenforkError as exc:
        error = exc
    except SUMO_ERRORS as exc:
        error = RolloutRejected(f"SUMO refused: {exc}")
    except Exception as exc:  # noqa: BLE001  a boundary
        error = RolloutError(f"{type(exc).__name__}: {exc}")
    return _encode(Failed(error=ErrorInfo.of(error)))


def _encode(reply: Reply) -> bytes:
    return reply.model_dump_json().encode()


if __name__ == "__main__":
    main()
