"""Giving a forked process its own reading positions in the files that are open.

After a fork parent and child share the position of every open file. SUMO reads demand bit by bit, a
megabyte ahead; a child that reads on would make its parent, and every later child, skip what it has
read.
"""

import fcntl
import os
import stat
from collections.abc import Iterable
from pathlib import Path

__all__ = ["detach", "files_being_read"]

_DESCRIPTORS = Path("/proc/self/fd")


def detach(descriptors: Iterable[int]) -> None:
    """Opens files that this process reads once more, each at the position where it is.

    Called in a child before it reads anything. The parent must not read meanwhile.
    """
    for descriptor in descriptors:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        own = os.open(_DESCRIPTORS / str(descriptor), os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(own, position, os.SEEK_SET)
        os.dup2(own, descriptor, inheritable=False)
        os.close(own)


def files_being_read() -> list[int]:
    """The descriptors of regular files that this process has open for reading only."""
    found = []
    for entry in list(_DESCRIPTORS.iterdir()):
        descriptor = int(entry.name)
        try:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError:  # the listing's own descriptor, which is closed again
            continue
        if is_regular and mode == os.O_RDONLY:
            found.append(descriptor)
    return found
