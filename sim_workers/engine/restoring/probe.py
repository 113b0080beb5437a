"""Whether processes can be put back here, given kernel, container and user. Tried in miniature.

``python -m sim_workers.sandbox.confinement sim_workers.engine.restoring.probe`` prints why not,
or nothing.
"""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
from functools import cache
from multiprocessing.connection import Connection, Pipe

from sim_workers.engine.fork_memory import die_with_parent
from sim_workers.engine.restoring.keeper import keep
from sim_workers.engine.restoring.restorable import Keeper, stop_here
from sim_workers.sandbox.confinement import before_stepping, environment, python_command

__all__ = ["why_not"]

_COMMAND = ("-m", "sim_workers.sandbox.confinement", "sim_workers.engine.restoring.probe")
_LIMIT_S = 30.0
_ANSWER_LIMIT_S = 10.0


@cache
def why_not() -> str | None:
    """Why processes cannot be put back on this machine, by this user; None if they can."""
    try:
        said = subprocess.run(
            python_command(*_COMMAND),
            env=environment(),
            capture_output=True,
            check=True,
            timeout=_LIMIT_S,
            text=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return f"the probe failed: {exc}"
    return said.stdout.strip() or None


def _try() -> str:
    if (machine := platform.machine()) != "x86_64":
        return f"not known for {machine} machines"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        die_with_parent()
        with contextlib.suppress(OSError):  # nobody is listening any more
            keep(theirs)
        os._exit(0)
    theirs.close()
    keeper = Keeper(ours, int(ours.recv(16)))
    requests, our_requests = Pipe(duplex=False)
    our_replies, replies = Pipe(duplex=False)
    if os.fork() == 0:
        die_with_parent()
        our_requests.close()
        our_replies.close()
        try:
            _count_once(keeper, requests, replies)
        finally:
            os._exit(0)
    requests.close()
    replies.close()
    for _ in range(2):
        try:
            our_requests.send_bytes(b"")
            answer = our_replies.recv_bytes() if our_replies.poll(_ANSWER_LIMIT_S) else b"silent"
        except (EOFError, BrokenPipeError):
            return keeper.reason()
        if answer != b"1":
            return f"the process answered {answer!r}"
    return ""


def _count_once(keeper: Keeper, requests: Connection, replies: Connection) -> None:
    """Counts requests, but is put back after the first."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115,PTH123  the keeper reports failures
    before_stepping()
    count = 0
    kept = keeper.take(())
    stop_here()
    requests.recv_bytes()
    count += 1
    replies.send_bytes(str(count).encode())
    stop_here()
    del kept


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write(_try())
