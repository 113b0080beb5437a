"""The pages of memory that a process has written, as tracked by the kernel. Linux 6.7 or later.

The process registers its memory with a userfaultfd whose write faults the kernel resolves by
itself (``UFFD_FEATURE_WP_ASYNC``); a process that may look into it arms the pages and later asks
which were written (``PAGEMAP_SCAN``). See https://docs.kernel.org/admin-guide/mm/pagemap.html.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["SHARES_MEMORY", "STORE_NAME", "Range", "WrittenPages", "register_memory"]

SHARES_MEMORY = errno.ENOTUNIQ
"""The error number for a process that shares memory, which cannot be tracked."""

STORE_NAME = "memfd:pristine"
"""The only memory that a process may share and write to: that of :mod:`.pristine_pages`."""

Range = tuple[int, int]
"""Addresses: of the first byte, and of the one after the last."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_LIBC.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_USERFAULTFD = 323
_USER_MODE_ONLY = 1
_UFFD_API = 0xAA
_FEATURES = (1 << 15) | (1 << 13)
"""Asynchronous write protection, also of pages that do not exist yet."""
_MODE_WRITE_PROTECT = 2
_SCAN_ARMS = 1
_WRITE_PROTECTABLE, _WRITTEN, _PRESENT = 1 << 0, 1 << 1, 1 << 3
_MAX_RANGES = 1 << 16
_LARGE_BYTES = 16 << 20
_PROT_READ = 1


class _Api(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("api", "features", "ioctls"))


class _Register(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("start", "length", "mode", "ioctls"))


class _Scan(ctypes.Structure):
    """``struct pm_scan_arg``."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("size", "flags", "start", "end", "walk_end", "found", "found_length", "max_pages"),
            *("category_inverted", "category_mask", "category_anyof_mask", "return_mask"),
        )
    )


def _ioctl_number(group: int, number: int, argument: type[ctypes.Structure]) -> int:
    """The request number of an ioctl that reads and writes its argument."""
    return 3 << 30 | ctypes.sizeof(argument) << 16 | group << 8 | number


_UFFDIO_API = _ioctl_number(_UFFD_API, 0x3F, _Api)
_UFFDIO_REGISTER = _ioctl_number(_UFFD_API, 0x00, _Register)
_PAGEMAP_SCAN = _ioctl_number(ord("f"), 16, _Scan)


def register_memory() -> int:
    """Makes the kernel track this process's writes; returns a descriptor to keep open.

    Large mappings that are still empty would cost more to watch than all the others: they are
    locked, and writing to one ends the process.

    Raises:
        OSError: The kernel cannot, or refuses; or the process shares memory that it may write
            to, which cannot be tracked.
    """
    flags = os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY
    descriptor: int = _LIBC.syscall(_USERFAULTFD, flags)
    if descriptor < 0:
        raise _error("userfaultfd")
    _ioctl(descriptor, _UFFDIO_API, _Api(_UFFD_API, _FEATURES, 0))
    for start, end in _writable_mappings("self"):
        if end - start >= _LARGE_BYTES and _is_unused((start, end)):
            if _LIBC.mprotect(start, end - start, _PROT_READ) != 0:
                raise _error("mprotect")
        else:
            registration = _Register(start, end - start, _MODE_WRITE_PROTECT, 0)
            _ioctl(descriptor, _UFFDIO_REGISTER, registration)
    return descriptor


class WrittenPages:
    """The pages that another process has written since they were armed.

    Raises:
        OSError: This process may not look into the other one, or the other one is gone.
    """

    def __init__(self, pid: int) -> None:
        mappings = _writable_mappings(str(pid))
        self._all = mappings[0][0], mappings[-1][1]
        self._pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._found = (ctypes.c_uint64 * (3 * _MAX_RANGES))()

    def arm(self) -> None:
        """Forgets what has been written so far."""
        _scan(self._pagemap, self._all, _WRITTEN, self._found, _SCAN_ARMS)

    def scan(self) -> bytes:
        """The written ranges in ascending order, as read by :meth:`ranges`; forgets nothing."""
        return _scan(self._pagemap, self._all, _WRITTEN, self._found)

    @staticmethod
    def ranges(scanned: bytes) -> Iterator[Range]:
        """The result of :meth:`scan`, range by range."""
        numbers = memoryview(scanned).cast("Q")
        return zip(numbers[::3], numbers[1::3], strict=True)

    def close(self) -> None:
        """Closes the other process's file."""
        os.close(self._pagemap)


def _scan(
    pagemap: int,
    within: Range,
    category: int,
    found: "ctypes.Array[ctypes.c_uint64]",
    flags: int = 0,
) -> bytes:
    """The ranges of pages of a category, as three numbers of eight bytes each."""
    scan = _Scan(
        size=ctypes.sizeof(_Scan),
        flags=flags,
        start=within[0],
        end=within[1],
        found=ctypes.addressof(found),
        found_length=len(found) // 3,
        category_mask=category | (_WRITE_PROTECTABLE if category == _WRITTEN else 0),
        return_mask=category,
    )
    count = _ioctl(pagemap, _PAGEMAP_SCAN, scan)
    if count == _MAX_RANGES:  # `walk_end` does not help: it stays where a buffer was once full
        raise OSError(errno.E2BIG, "the written pages lie in too many places")
    return ctypes.string_at(found, 24 * count)


def _is_unused(mapping: Range) -> bool:
    """Whether no page of a mapping of this process is in memory."""
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _scan(pagemap, mapping, _PRESENT, (ctypes.c_uint64 * 3)())
    finally:
        os.close(pagemap)


def _writable_mappings(pid: str) -> list[Range]:
    """The private mappings that a process can write to, in ascending order.

    Raises:
        OSError: It can write to a shared one other than the store's.
    """
    found = []
    for line in Path("/proc", pid, "maps").read_text().splitlines():
        addresses, permissions, rest = line.split(" ", 2)
        if permissions[1] == "w" and permissions[3] == "p":
            start, end = addresses.split("-")
            found.append((int(start, 16), int(end, 16)))
        elif permissions[1] == "w" and STORE_NAME not in rest:
            raise OSError(SHARES_MEMORY, f"the process shares memory: {rest.split()[-1]}")
    return found


def _ioctl(descriptor: int, request: int, argument: ctypes.Structure) -> int:
    result: int = _LIBC.ioctl(descriptor, request, ctypes.byref(argument))
    if result < 0:
        raise _error(f"ioctl {request:#x}")
    return result


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
