"""Landlock: a process declares which files it will open from now on, and the kernel enforces it.

Rules apply to a file's real location, whatever name leads there, and are inherited by everything
that the process forks or executes. They can be stacked; each layer can only take more away. What is
already open stays open. See https://docs.kernel.org/userspace-api/landlock.html. Linux has had it
since 5.13, with more in each version; what the kernel lacks is left out.

Pipes, sockets and ``memfd`` files are in no folder, and Landlock does not restrict them.
"""

import ctypes
import errno
import os
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Rules", "restrict", "version"]

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_CHANGE_FOLDERS = sum(1 << bit for bit in range(4, 13))
"""Removing from folders and making anything in them: bits of the first version."""
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_DEVICE_IOCTL = 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_IOCTL
_TCP = 0b11
"""Binding and connecting."""
_SCOPES = 0b11
"""Abstract sockets of other processes, and signals to them."""


@dataclass(frozen=True)
class Rules:
    """What may still be opened. None: left unrestricted."""

    read: tuple[Path, ...] | None = None
    """Files to read, and folders with everything beneath them."""
    write: tuple[Path, ...] | None = None
    """The same for writing, making, removing and renaming."""
    execute: tuple[Path, ...] | None = None
    own_domain: bool = False
    """No TCP; no signals or abstract sockets to processes that are not restricted in the same
    way."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@cache
def version() -> int:
    """The kernel's version of Landlock: 1 and up; 0 if it has none."""
    found: int = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, found)


def restrict(rules: Rules) -> bool:
    """Restricts this thread, and all that it starts; returns whether the kernel enforces that.

    Paths that do not exist are skipped. ``no_new_privs`` must be set.

    Raises:
        OSError: The kernel has Landlock, but refused this.
    """
    if version() == 0:
        return False
    granted = (
        (rules.read, _READ_FILE | _READ_DIR),
        (rules.write, _writing()),
        (rules.execute, _EXECUTE),
    )
    files = 0
    for paths, rights in granted:
        files |= 0 if paths is None else rights
    ruleset = _create(files, rules.own_domain)
    try:
        for paths, rights in granted:
            for path in paths or ():
                _allow(ruleset, path, rights)
        _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _create(files: int, own_domain: bool) -> int:
    asked = _Ruleset(
        files,
        _TCP if own_domain and version() >= 4 else 0,
        _SCOPES if own_domain and version() >= 6 else 0,
    )
    size = 24 if version() >= 6 else 16 if version() >= 4 else 8
    made = _LIBC.syscall(_CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(size), 0)
    return _checked(made)


def _writing() -> int:
    rights = _WRITE_FILE | _CHANGE_FOLDERS
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE_IOCTL)):
        rights |= right if version() >= since else 0
    return rights


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= _OF_FILES
        rule = _PathBeneath(rights, parent)
        _checked(_LIBC.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}", errno.errorcode.get(code))
    return result
