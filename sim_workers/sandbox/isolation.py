"""Drops what a process never needs: network access, capabilities, unlimited file sizes.

SUMO reads files that strangers may have written. Whatever such a file might make it do, it cannot
communicate with anybody, fill the disk with one file, leave memory dumps, or gain privileges.
:mod:`sim_workers.sandbox.confinement` takes away more, and starts simulation processes.

``python -m sim_workers.sandbox.isolation MODULE ARGUMENT…`` runs a module in this way. It has to
happen before libsumo is imported: that starts a thread, and a process with threads cannot enter a
user namespace of its own.

Not every platform lets a process give these things up (containers often forbid it). The process
then continues without: :func:`isolate` returns what was achieved, and ``docs/security.md`` says
where that matters.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import runpy
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Isolation", "isolate", "leave_network", "limit", "limit_memory", "use_memory_reserve"]

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_MAX_CAPABILITIES = 64
_SET_INTERFACE_FLAGS = 0x8914
_INTERFACE_UP = 1
_CAPABILITY_VERSION_3 = 0x20080522
_MAX_FILE_BYTES = 4 << 30
"""No log or state comes near this: a state with a million vehicles takes a tenth of it."""
_MAX_DESCRIPTORS = 1024
_MEMORY_RESERVE_BYTES = 64 << 20
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Isolation:
    """What a process has given up."""

    network: bool
    """Whether it is in a network namespace of its own, without any interface."""
    limits: bool
    """Whether it cannot write files without limit, dump its memory, or gain privileges."""
    capabilities: bool
    """Whether it has none, and cannot get any."""


def isolate(without_network: bool = True) -> Isolation:
    """Gives up network and capabilities and sets limits, for this process and all that it forks.

    Open sockets stay open. Must be called while there is only one thread. The network comes first,
    because leaving it may need a capability.

    Args:
        without_network: False keeps the present network.
    """
    is_alone = without_network and leave_network()
    return Isolation(network=is_alone, capabilities=_drop_capabilities(), limits=limit())


def leave_network(keep_loopback: bool = False) -> bool:
    """Moves into an empty network namespace: directly if permitted, or else in a user namespace.

    Must be called while there is only one thread.

    Args:
        keep_loopback: Let processes in the same namespace be reached at 127.0.0.1. Capabilities
            over the namespace are then kept until :func:`isolate` is called.
    """
    if _LIBC.unshare(_CLONE_NEWNET) != 0:
        uid, gid = os.geteuid(), os.getegid()
        if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return False
        _keep_ids(uid, gid)
    if keep_loopback:
        with contextlib.suppress(OSError), socket.socket() as any_socket:
            request = struct.pack("16sH14x", b"lo", _INTERFACE_UP)
            fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, request)
    return True


def limit(max_file_bytes: int = _MAX_FILE_BYTES) -> bool:
    """Sets permanent limits; returns whether all of them could be set.

    Args:
        max_file_bytes: No file can be written beyond it; attempts fail.
    """
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, max_file_bytes),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
    ]
    taken = [_lower(what, at_most) for what, at_most in wanted]
    has_no_new_rights = _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return all(taken) and has_no_new_rights


def limit_memory(max_bytes: int) -> bool:
    """Limits the private memory of this process; returns whether that succeeded.

    Beyond the limit allocation fails: a MemoryError in Python, ``std::bad_alloc`` in SUMO. What the
    process needs to report that is kept back for :func:`use_memory_reserve`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = max_bytes + _MEMORY_RESERVE_BYTES
    if hard != resource.RLIM_INFINITY:
        most = min(hard, most)
    return _set_limit(resource.RLIMIT_DATA, max(0, most - _MEMORY_RESERVE_BYTES), most)


def use_memory_reserve() -> None:
    """Gives a process that has run out of memory the little that it needs to end properly."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    _set_limit(resource.RLIMIT_DATA, hard, hard)


def _keep_ids(uid: int, gid: int) -> None:
    """Lets the process keep its user and group ids; files are opened as that user in any case."""
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        try:
            Path("/proc/self", name).write_text(content)
        except OSError:
            return  # ids then read as "nobody", but nothing here looks at them


def _drop_capabilities() -> bool:
    """Gives up root's privileges beyond its own files, or those of a user namespace's creator."""
    for capability in range(_MAX_CAPABILITIES):
        _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # unknown or refused ones stay
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    return bool(_LIBC.capset(header, (ctypes.c_uint32 * 6)()) == 0)


def _lower(what: int, at_most: int) -> bool:
    """Lowers a limit; one that is already lower stays."""
    _, hard = resource.getrlimit(what)
    value = at_most if hard == resource.RLIM_INFINITY else min(hard, at_most)
    return _set_limit(what, value, value)


def _set_limit(what: int, soft: int, hard: int) -> bool:
    try:
        resource.setrlimit(what, (soft, hard))
    except (OSError, ValueError):
        return False
    return True


def _main() -> None:
    isolate()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
