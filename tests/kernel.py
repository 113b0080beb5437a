"""What this machine's kernel allows, asked of the kernel itself and not of what is tested."""

import ctypes
import os
import platform
import re

__all__ = ["CAN_RESTORE"]

_USERFAULTFD, _USER_MODE_ONLY = 323, 1
_SINCE = (6, 7)


def _can_restore() -> bool:
    release = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if platform.machine() != "x86_64" or release < _SINCE:
        return False
    descriptor: int = ctypes.CDLL(None).syscall(_USERFAULTFD, os.O_CLOEXEC | _USER_MODE_ONLY)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


CAN_RESTORE = _can_restore()
"""Whether processes must be put back here: where they are not, that is a fault."""
