"""Taking away from simulation processes what they never need: the network, and files without end.

SUMO reads files that strangers may have written. Whatever such a file might make it do, it cannot
talk to anybody, fill the disk with one file, leave memory dumps, or gain rights.

``python -m sim_workers.isolation MODULE ARGUMENT…`` runs a module so; without one, it says what can
be had. The nursery is started like this, and every holder and rollout is forked from it. It has to
happen before libsumo is imported: that starts a thread, and a process with threads cannot become
a user of its own.

Not every platform lets a process give these things up (containers often forbid it). Then it goes
on without: :func:`isolate` says what was achieved, and ``docs/security.md`` where that matters.
"""

import ctypes
import json
import os
import resource
import runpy
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

__all__ = ["Isolation", "isolate", "limit", "probe"]

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_MAX_FILE_BYTES = 4 << 30
"""No log comes near this, nor a state: one of a million vehicles has a tenth."""
_MAX_DESCRIPTORS = 1024
_PROBE_LIMIT_S = 30.0
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Isolation:
    """What a process has given up."""

    network: bool
    """It is in a network namespace of its own, without any interface."""
    limits: bool
    """It cannot write files without end, dump its memory, or gain rights."""


def isolate() -> Isolation:
    """Gives up the network and takes limits on, for this process and all that it forks.

    Sockets that are open stay open. Must be called before there is a second thread.
    """
    return Isolation(network=_leave_network(), limits=limit())


def limit(max_file_bytes: int = _MAX_FILE_BYTES, max_memory_bytes: int | None = None) -> bool:
    """Takes limits on that hold for ever; says whether all of them could be had.

    Args:
        max_file_bytes: No file can be written beyond it; the attempt is an error.
        max_memory_bytes: Memory of each process of its own, apart from what it shares with others;
            None leaves that as it is.
    """
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, max_file_bytes),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
    ]
    if max_memory_bytes is not None:
        wanted.append((resource.RLIMIT_DATA, max_memory_bytes))
    taken = [_lower(what, at_most) for what, at_most in wanted]
    has_no_new_rights = _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return all(taken) and has_no_new_rights


@cache
def probe() -> Isolation:
    """What simulation processes of this machine and this user can give up; tried once."""
    command = [sys.executable, "-m", "sim_workers.isolation"]
    try:
        said = subprocess.run(command, capture_output=True, check=True, timeout=_PROBE_LIMIT_S)
        return Isolation(**json.loads(said.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return Isolation(network=False, limits=False)


def _leave_network() -> bool:
    """Moves into an empty network namespace: with the right to, or else as a user of its own."""
    if _LIBC.unshare(_CLONE_NEWNET) == 0:
        return True
    uid, gid = os.geteuid(), os.getegid()
    if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    _keep_ids(uid, gid)
    _drop_capabilities()
    return True


def _keep_ids(uid: int, gid: int) -> None:
    """Lets the process be who it was; files are opened as that user in any case."""
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        try:
            Path("/proc/self", name).write_text(content)
        except OSError:
            return  # ids then read as "nobody", which nothing here looks at


def _drop_capabilities() -> None:
    """Gives up the rights that a process has over a user namespace which it made."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _LIBC.capset(header, (ctypes.c_uint32 * 6)())


def _lower(what: int, at_most: int) -> bool:
    """Lowers a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    value = at_most if hard == resource.RLIM_INFINITY else min(hard, at_most)
    try:
        resource.setrlimit(what, (value, value))
    except (OSError, ValueError):
        return False
    return True


def _main() -> None:
    isolation = isolate()
    del sys.argv[0]
    if sys.argv:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.stdout.write(json.dumps(asdict(isolation)))


if __name__ == "__main__":
    _main()
