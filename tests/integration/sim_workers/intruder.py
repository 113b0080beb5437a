"""A simulation process that turns against its machine, and what it is able to do.

``python -m tests.integration.sim_workers.intruder CONFIG`` starts a fork server, a holder and a
rollout as a worker does, in which this module takes the place of
:mod:`sim_workers.engine.fork_server`: each of them tries what ``attempts.json`` beside the
configuration names, and everything else is the real thing. It prints what came of it: ``"done"``,
or the name of the error. ``… CONFIG free`` tries the same in an ordinary process, and ``intake`` as
the process that looks at an upload, which is the list of attempts.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import GreenforkError, RolloutRejected, ScenarioError
from sim_workers.engine import fork_client as processes
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Advance,
    Describe,
    Described,
    Open,
    Ready,
    Rollout,
    RolloutOutcome,
)

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIMIT_S = 60.0
_NEW_USER = 0x10000000
_READ_MEMORY, _USERFAULTFD, _IO_URING = 310, 323, 425
"""System calls by number, as x86_64 has them."""


def _connect(kind: socket.SocketKind, port: int) -> None:
    with socket.socket(socket.AF_INET, kind) as own:
        own.settimeout(5)
        own.connect(("127.0.0.1", port))
        own.send(b"hello")


def _connect_by_path(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(path)


def _call(number: int, *arguments: object) -> None:
    if _LIBC.syscall(number, *arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _read_own_memory() -> None:
    """Through the call that would also read another process's."""
    secret, found = ctypes.create_string_buffer(b"secret"), ctypes.create_string_buffer(6)
    from_, to = ((ctypes.c_size_t * 2)(ctypes.addressof(b), 6) for b in (secret, found))
    _call(
        _READ_MEMORY, os.getpid(), to, ctypes.c_long(1), from_, ctypes.c_long(1), ctypes.c_long(0)
    )


def _execute() -> None:
    subprocess.run(["/bin/true"], check=True, env={})


def _new_user() -> None:
    if _LIBC.unshare(_NEW_USER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _attempts(given: dict[str, Any]) -> dict[str, Callable[[], object]]:
    home, victim, pid = Path(given["folder"]), Path(given["victim"]), given["pid"]
    return {
        "read passwd": Path("/etc/passwd").read_bytes,
        "read passwd by a link": Path("/proc/self/root/etc/passwd").read_bytes,
        "read a neighbour": victim.read_bytes,
        "list a neighbour": lambda: list(victim.parent.iterdir()),
        "read an environment": Path(f"/proc/{pid}/environ").read_bytes,
        "write": lambda: victim.open("r+b"),
        "truncate": lambda: os.truncate(victim, 0),
        "append": lambda: victim.open("ab"),
        "remove": victim.unlink,
        "rename": lambda: victim.rename(victim.with_name("other")),
        "make": (victim.parent / "made").touch,
        "make at home": (home / "made").touch,
        "write own input": lambda: (home / "attempts.json").open("r+b"),
        "read own input": (home / "attempts.json").read_bytes,
        "write nowhere": lambda: Path("/dev/null").write_bytes(b"x"),
        "connect": lambda: _connect(socket.SOCK_STREAM, given["tcp"]),
        "send": lambda: _connect(socket.SOCK_DGRAM, given["udp"]),
        "connect by path": lambda: _connect_by_path(given["path"]),
        "execute": _execute,
        "ring": lambda: _call(_IO_URING, 1, ctypes.create_string_buffer(120)),
        "signal": lambda: os.kill(pid, 0),
        "new user": _new_user,
        "read memory": _read_own_memory,
        "catch faults": lambda: _call(_USERFAULTFD, 1),
    }


def _tried(given: dict[str, Any]) -> dict[str, Any]:
    """What came of each attempt, and what this process is."""
    came: dict[str, Any] = {}
    for name, attempt in _attempts(given).items():
        try:
            attempt()
        except OSError as exc:
            came[name] = errno.errorcode.get(exc.errno or 0, str(exc))
        else:
            came[name] = "done"
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    came["status"] = {name: status[name] for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs")}
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    came["memory"] = (pages * resource.getpagesize(), resource.getrlimit(resource.RLIMIT_DATA)[0])
    came["variables"] = sorted(os.environ)
    return came


def _be_holder() -> None:
    """Takes the holder's place. A report travels in an error's message, which is sent as it is.

    libsumo is loaded here, and never in the owner's process.
    """
    from sim_workers.engine import fork_server as holder
    from sim_workers.engine.simulation import Simulation

    reports: dict[str, Any] = {}
    given: dict[str, Any] = {}
    opened = holder._SimulationServer._open

    def open_(self: Any, request: Open) -> Ready:  # noqa: ANN401
        given.update(json.loads(Path(request.config).with_name("attempts.json").read_bytes()))
        reports["fork_server"] = _tried(given)
        return opened(self, request)

    def describe(*_: object) -> None:
        raise RolloutRejected(json.dumps(reports | {"holder": _tried(given)}))

    def roll_out(*_: object) -> None:
        raise RolloutRejected(json.dumps({"rollout": _tried(given)}))

    holder._SimulationServer._open = open_  # type: ignore[method-assign]
    Simulation.describe = describe  # type: ignore[method-assign, assignment]
    Simulation.roll_out = roll_out  # type: ignore[method-assign, assignment]
    holder.main()


def _be_intake() -> None:
    """Takes the place of the process that looks at uploads."""
    from sim_workers.uploads import inspector as intake

    def take(request: intake.IntakeRequest, fork_server: ForkServer) -> intake.IntakeAnswer:
        raise ScenarioError(json.dumps(_tried(json.loads(request.upload.read_bytes()))))

    intake._take_scenario = take
    intake.main()


def _reported(ask: Callable[[], object]) -> dict[str, Any]:
    try:
        ask()
    except GreenforkError as exc:
        said: dict[str, Any] = json.loads(exc.message)
        return said
    raise AssertionError("nothing was tried")


def _ask(holder: SimulationHandle) -> dict[str, Any]:
    describe = Describe(min_green_s=5, max_green_s=60)
    rollout = Rollout(signal_decisions=(), observe=(), horizon_s=1, limit_s=_LIMIT_S)
    reports = _reported(lambda: holder.call(describe, Described, _LIMIT_S))
    reports |= _reported(lambda: holder.call(rollout, RolloutOutcome, _LIMIT_S))
    holder.call(Advance(to_s=1), Ready, _LIMIT_S)
    moved = _reported(lambda: holder.call(describe, Described, _LIMIT_S))
    return reports | {"moved": moved["holder"]}


def main() -> None:
    """As the fork server, which is given a descriptor; or as its owner, which is given a file."""
    if sys.argv[1].isdigit():
        return _be_holder()
    if sys.argv[1] == "intake":
        return _be_intake()
    if sys.argv[2:] == ["free"]:
        given = json.loads(Path(sys.argv[1]).with_name("attempts.json").read_bytes())
        sys.stdout.write(json.dumps({"free": _tried(given)}))
        return None
    processes._FORK_SERVER = __spec__.name
    with ForkServer() as fork_server, fork_server.open(Open(config=sys.argv[1], seed=1)) as holder:
        sys.stdout.write(json.dumps(_ask(holder)))
    return None


if __name__ == "__main__":
    main()
