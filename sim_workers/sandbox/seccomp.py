"""seccomp: a process gives up system calls, for itself and for all that it starts.

A filter is a small program that the kernel runs before each call; it is written by hand here, so
that no library is needed. Calls that are given up fail with EPERM. Filters can be stacked, and each
can only take more away. See https://docs.kernel.org/userspace-api/seccomp_filter.html.

This is a list of what is denied, not of what is allowed: Python and SUMO, in any version and with
any C library, should have all the ordinary calls. Access to files is left to
:mod:`sim_workers.sandbox.landlock`.
"""

import ctypes
import platform
import struct
from dataclasses import dataclass
from functools import cache

__all__ = ["ALWAYS_DENIED", "DENIED_TO_STRANGERS", "RESTORABLE", "allow_only", "deny", "prepare"]

_SET_MODE_FILTER = 1
_SPEC_ALLOW = 4
"""Without it, kernels before 5.16 slow the process down to mitigate Spectre, against which a filter
does nothing."""
_LIBC = ctypes.CDLL(None, use_errno=True)

_LOAD = 0x20
_EQUAL = 0x15
_AT_LEAST = 0x35
_ANY_BIT = 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_ASK_TRACER = 0x7FF00000
"""Fails with ENOSYS if the kernel has none."""
_EPERM = 1
_ENOSYS = 38
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32 = 0x40000000
"""Numbers from here on belong to x86_64's other ABI; other machines have none."""
_NEW_NAMESPACES = 0x7E020080
"""Flags of clone: time, mount, cgroup, UTS, IPC, user, PID and network namespaces."""


@dataclass(frozen=True)
class _Machine:
    audit: int
    """The kernel's name for it."""
    column: int
    """The column of its numbers in the table."""


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0),
    "aarch64": _Machine(0xC00000B7, 1),
}
_INTO_PROCESSES: dict[str, tuple[int | None, int | None]] = {
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "userfaultfd": (323, 282),
}
_NUMBERS = _INTO_PROCESSES | {
    # programs
    "execve": (59, 221),
    "execveat": (322, 281),
    # sockets; a socketpair connects to nobody else and stays allowed
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other processes
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    # namespaces and file systems
    "chroot": (161, 51),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "setns": (308, 268),
    "umount2": (166, 39),
    "unshare": (272, 97),
    # the kernel itself, and the machine
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "modify_ldt": (154, None),
    "perf_event_open": (298, 241),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "uselib": (134, None),
    "vhangup": (153, 58),
}
_CLONE_PARENT = 0x8000
_CLONE = (56, 220)
_CLONE3 = 435
_PRLIMIT = (302, 261)
_USERFAULTFD, _USER_MODE_ONLY = "userfaultfd", 1

DENIED_TO_STRANGERS = frozenset(_INTO_PROCESSES)
"""Looking into other processes and their memory: a process that watches over simulations may need
it, one that runs a stranger's simulation never does. A tracer can make an exception: that of
:mod:`sim_workers.engine.restoring` lets a process have one ``userfaultfd``, for faults in its own
code alone (``UFFD_USER_MODE_ONLY``), before it rolls out."""
ALWAYS_DENIED = frozenset(_NUMBERS) - DENIED_TO_STRANGERS
"""Calls that no simulation process needs."""


RESTORABLE = frozenset(
    {
        *(0, 1, 5, 8, 17, 19, 20, 295),  # read, write, fstat, lseek, pread64, readv, writev, preadv
        *(35, 96, 201, 202, 204, 228, 229, 230, 318),  # clocks, futex, getrandom
        *(14, 15, 39, 62, 99, 102, 110, 186, 234),  # its own signals, its identity
        *(24, 60, 219, 231),  # sched_yield, exit, restart_syscall, exit_group
    }
)
"""Numbers of x86_64: calls that leave nothing behind in the kernel but positions in files."""


def allow_only(numbers: frozenset[int]) -> bool:
    """Ends this process at any other system call; returns whether the kernel does so. x86_64 only.

    A tracer can still have it fork a sibling.
    """
    return _install(_program_of_allowed(numbers), _MACHINES["x86_64"])


def _program_of_allowed(numbers: frozenset[int]) -> bytes:
    allow = _statement(_RETURN, _ALLOW)
    code = [_statement(_LOAD, _NUMBER_AT)]
    for number in sorted(numbers):
        code += [_jump(_EQUAL, number, 0, 1), allow]
    code += [
        _jump(_EQUAL, _CLONE[0], 0, 3),
        _statement(_LOAD, _FIRST_ARGUMENT_AT),
        _jump(_EQUAL, _CLONE_PARENT, 0, 1),
        allow,
        _statement(_RETURN, _KILL_PROCESS),
    ]
    return b"".join(code)


def deny(calls: frozenset[str]) -> bool:
    """Gives up system calls, by name; returns whether the kernel enforces that.

    It then also cannot create namespaces or set other processes' limits. ``no_new_privs`` must be
    set. False also on machines whose numbers are not known here.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    return _install(_program(machine, calls), machine)


def _install(program: bytes, machine: _Machine) -> bool:
    filter_ = _Filter(len(program) // 8, program)
    number = (317, 277)[machine.column]
    result: int = _LIBC.syscall(number, _SET_MODE_FILTER, _SPEC_ALLOW, ctypes.byref(filter_))
    return result == 0


def prepare(calls: frozenset[str]) -> None:
    """Builds the filter that :func:`deny` needs in advance, for forked processes to use."""
    machine = _MACHINES.get(platform.machine())
    if machine is not None:
        _program(machine, calls)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


@cache
def _program(machine: _Machine, calls: frozenset[str]) -> bytes:
    """The filter: instructions of 8 bytes; jumps say how many to skip if true, and if false."""
    numbers = [_NUMBERS[name][machine.column] for name in sorted(calls - {_USERFAULTFD})]
    refuse = _statement(_RETURN, _ERRNO | _EPERM)
    code = [
        _statement(_LOAD, _MACHINE_AT),
        _jump(_EQUAL, machine.audit, 1, 0),
        refuse,
        _statement(_LOAD, _NUMBER_AT),
        _jump(_AT_LEAST, _X32, 0, 1),
        refuse,
        _jump(_EQUAL, _CLONE3, 0, 1),  # its flags cannot be read; C libraries then use clone
        _statement(_RETURN, _ERRNO | _ENOSYS),
    ]
    for number in numbers:
        if number is not None:
            code += [_jump(_EQUAL, number, 0, 1), refuse]
    if _USERFAULTFD in calls:
        code += [
            _jump(_EQUAL, _NUMBERS[_USERFAULTFD][machine.column] or 0, 0, 4),
            _statement(_LOAD, _FIRST_ARGUMENT_AT),
            _jump(_ANY_BIT, _USER_MODE_ONLY, 1, 0),
            refuse,
            _statement(_RETURN, _ASK_TRACER),
        ]
    code += [
        _jump(_EQUAL, _CLONE[machine.column], 0, 3),
        _statement(_LOAD, _FIRST_ARGUMENT_AT),
        _jump(_ANY_BIT, _NEW_NAMESPACES, 0, 4),
        refuse,
        _jump(_EQUAL, _PRLIMIT[machine.column], 0, 2),
        _statement(_LOAD, _FIRST_ARGUMENT_AT),
        _jump(_EQUAL, 0, 0, 1),
        _statement(_RETURN, _ALLOW),
        refuse,
    ]
    return b"".join(code)


def _statement(operation: int, value: int) -> bytes:
    return struct.pack("=HBBI", operation, 0, 0, value)


def _jump(operation: int, value: int, if_so: int, if_not: int) -> bytes:
    return struct.pack("=HBBI", operation, if_so, if_not, value)
