"""ptrace: stopping a process, looking into it and letting it continue. x86_64 Linux.

The tracer can also have the stopped process make a system call: it sets the registers accordingly,
executes one instruction, and sets them back. See ptrace(2).
"""

import ctypes
import os
import signal
from typing import Self

__all__ = ["SNAPSHOT_SIGNAL", "Registers", "Tracee"]

SNAPSHOT_SIGNAL = signal.SIGTRAP
"""The signal by which a traced process stops itself."""

_GET_REGISTERS, _SET_REGISTERS = 12, 13
_CONTINUE, _SINGLE_STEP = 7, 9
_GET_EVENT_MESSAGE = 0x4201
_GET_REGISTER_SET, _SET_REGISTER_SET = 0x4204, 0x4205
_SEIZE = 0x4206
_OPTIONS = (1 << 1) | (1 << 3) | (1 << 7) | (1 << 20)
"""Trace what it forks or clones; stop when a system call filter asks the tracer; kill it when the
tracer ends."""
_CLONE_EVENTS = (1, 3)
_EVENT_STOP = 128
_EXTENDED_STATE = ctypes.c_void_p(0x202)
"""Floating-point and vector registers: NT_X86_XSTATE."""
_MAX_STATE_BYTES = 16384
_SYSCALL = b"\x0f\x05"
_CLONE, _CLONE_PARENT = 56, 0x8000
_ALL_CHILDREN = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class _General(ctypes.Structure):
    """``struct user_regs_struct``."""

    _fields_ = tuple(
        (name, ctypes.c_ulonglong)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx"),
            *("rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base"),
            *("gs_base", "ds", "es", "fs", "gs"),
        )
    )


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Registers:
    """All registers of a stopped process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.general = _General()
        self._extended = ctypes.create_string_buffer(_MAX_STATE_BYTES)
        self._vector = _Vector(ctypes.addressof(self._extended), _MAX_STATE_BYTES)
        _ptrace(_GET_REGISTERS, pid, None, ctypes.byref(self.general))
        _ptrace(_GET_REGISTER_SET, pid, _EXTENDED_STATE, ctypes.byref(self._vector))

    def put_back(self) -> None:
        """Sets all of them to their former values."""
        _ptrace(_SET_REGISTERS, self._pid, None, ctypes.byref(self.general))
        _ptrace(_SET_REGISTER_SET, self._pid, _EXTENDED_STATE, ctypes.byref(self._vector))


class Tracee:
    """A process traced by this one, which ends when this one does.

    Raises:
        OSError: The process is gone, or this one may not trace it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended_by: int | None = None
        """The signal that ended it, once :meth:`wait` has reported its end."""
        self.exit_status = 0

    @classmethod
    def seize(cls, pid: int) -> Self:
        """Starts tracing a process, which keeps running."""
        _ptrace(_SEIZE, pid, None, ctypes.c_void_p(_OPTIONS))
        return cls(pid)

    def wait(self) -> int | None:
        """Waits until a signal stops it and returns that signal; None once it has ended.

        Other stops are passed over: whatever its system call filter asks about is allowed.
        """
        while True:
            status = self._wait()
            if not os.WIFSTOPPED(status):
                self.ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
                self.exit_status = os.WEXITSTATUS(status)
                return None
            if status >> 16 == 0:
                return os.WSTOPSIG(status)
            self.resume()

    def resume(self, signal_number: int = 0) -> None:
        """Lets it continue, with a signal or without the one that stopped it."""
        _ptrace(_CONTINUE, self.pid, None, ctypes.c_void_p(signal_number))

    def call(self, number: int, *arguments: int) -> int:
        """Has it make a system call and returns the result, a negative errno on failure.

        It must have stopped itself by a signal, in a system call. Its registers are changed.
        """
        self._set_up(number, arguments)
        _ptrace(_SINGLE_STEP, self.pid, None, None)
        self._wait()
        registers = _General()
        _ptrace(_GET_REGISTERS, self.pid, None, ctypes.byref(registers))
        return ctypes.c_longlong(registers.rax).value

    def fork(self) -> "Tracee":
        """Has it fork a twin, which stays stopped, and which this process must kill.

        The twin has the same parent. Registers are changed.
        """
        self._set_up(_CLONE, (_CLONE_PARENT,))
        _ptrace(_SINGLE_STEP, self.pid, None, None)
        status = self._wait()
        if status >> 16 not in _CLONE_EVENTS:
            raise OSError(f"the process {self.pid} did not fork: status {status:#x}")
        pid = ctypes.c_ulong()
        _ptrace(_GET_EVENT_MESSAGE, self.pid, None, ctypes.byref(pid))
        twin = Tracee(pid.value)
        twin._wait()
        _ptrace(_SINGLE_STEP, self.pid, None, None)
        self._wait()
        return twin

    def kill(self) -> None:
        """Ends it."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            while os.WIFSTOPPED(self._wait()):
                pass
        except (ProcessLookupError, ChildProcessError):
            pass

    def _set_up(self, number: int, arguments: tuple[int, ...]) -> None:
        registers = _General()
        _ptrace(_GET_REGISTERS, self.pid, None, ctypes.byref(registers))
        registers.rip -= len(_SYSCALL)  # it has just returned from a call,
        registers.orig_rax = 2**64 - 1  # which the kernel is not to repeat
        registers.rax = number
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False):
            setattr(registers, name, value)
        _ptrace(_SET_REGISTERS, self.pid, None, ctypes.byref(registers))

    def _wait(self) -> int:
        return os.waitpid(self.pid, _ALL_CHILDREN)[1]


def _ptrace(request: int, pid: int, address: object, data: object) -> None:
    if _LIBC.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request:#x} of process {pid}: {os.strerror(error)}")
