"""The filter's instructions, run as the kernel would run them."""

import platform
import struct

import pytest

from sim_workers.sandbox import landlock, seccomp
from sim_workers.sandbox.seccomp import (
    _MACHINES,
    _NUMBERS,
    ALWAYS_DENIED,
    DENIED_TO_STRANGERS,
    RESTORABLE,
    _program,
    _program_of_allowed,
)

_ALLOWED, _DENIED, _UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026
_ENDED, _ASKED = 0x80000000, 0x7FF00000
_FORK = 0x01200011
"""Flags with which C libraries clone for a fork."""
_READ = {"x86_64": 0, "aarch64": 63}
_CLONE = {"x86_64": 56, "aarch64": 220}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
machines = pytest.mark.parametrize("name", sorted(_MACHINES))


def _verdict(program: bytes, audit: int, number: int, first: int = 0) -> int:
    """What a filter says of a call; its jumps only go forward, so that it ends."""
    data = struct.pack("=IIQQ", number, audit, 0, first)
    code = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    while True:
        operation, if_so, if_not, value = code[at]
        at += 1
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif operation == 0x06:
            return int(value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}
            at += if_so if holds[operation] else if_not


@machines
def test_named_calls_are_denied_and_no_others(name: str) -> None:
    """Whatever their numbers are on that machine."""
    machine = _MACHINES[name]
    program = _program(machine, ALWAYS_DENIED)
    numbers = {_NUMBERS[call][machine.column] for call in ALWAYS_DENIED} - {None}
    kept = {_CLONE[name], _PRLIMIT[name]}
    for number in set(range(512)) - kept - {435}:
        expected = _DENIED if number in numbers else _ALLOWED
        assert _verdict(program, machine.audit, number) == expected
    assert _verdict(program, machine.audit, _READ[name]) == _ALLOWED


@machines
def test_processes_can_be_forked_but_not_namespaces_made(name: str) -> None:
    """The newer call, whose flags cannot be seen, says that it does not exist."""
    machine = _MACHINES[name]
    program = _program(machine, frozenset())
    assert _verdict(program, machine.audit, _CLONE[name], _FORK) == _ALLOWED
    for flag in (0x10000000, 0x20000000, 0x40000000, 0x00020000):
        assert _verdict(program, machine.audit, _CLONE[name], _FORK | flag) == _DENIED
    assert _verdict(program, machine.audit, 435) == _UNKNOWN


@machines
def test_own_limits_can_be_set_but_no_others(name: str) -> None:
    """A process is named by its id, and 0 is the caller."""
    machine = _MACHINES[name]
    program = _program(machine, frozenset())
    assert _verdict(program, machine.audit, _PRLIMIT[name], 0) == _ALLOWED
    assert _verdict(program, machine.audit, _PRLIMIT[name], 4711) == _DENIED


@machines
def test_other_abis_of_the_machine_are_closed(name: str) -> None:
    """The same calls have other numbers there."""
    machine = _MACHINES[name]
    program = _program(machine, ALWAYS_DENIED)
    assert _verdict(program, 0x40000003, _READ[name]) == _DENIED
    assert _verdict(program, machine.audit, 0x40000000 + _READ[name]) == _DENIED


@machines
def test_faults_may_be_caught_in_own_code_if_a_tracer_allows_it(name: str) -> None:
    """And in the kernel's never."""
    machine = _MACHINES[name]
    program, number = _program(machine, DENIED_TO_STRANGERS), {"x86_64": 323, "aarch64": 282}[name]
    assert _verdict(program, machine.audit, number, 0o2004001) == _ASKED
    assert _verdict(program, machine.audit, number, 0o2004000) == _DENIED


def test_process_that_is_put_back_can_do_little() -> None:
    """Read, write, and be forked by its tracer; nothing that would have to be undone."""
    program, machine = _program_of_allowed(RESTORABLE), _MACHINES["x86_64"]
    allowed = {n for n in range(512) if _verdict(program, machine.audit, n) == _ALLOWED}
    assert allowed == RESTORABLE
    others = {_verdict(program, machine.audit, n) for n in set(range(512)) - RESTORABLE}
    assert others == {_ENDED}
    assert _verdict(program, machine.audit, _CLONE["x86_64"], 0x8000) == _ALLOWED
    assert _verdict(program, machine.audit, _CLONE["x86_64"], _FORK) == _ENDED


def test_the_two_lists_are_apart() -> None:
    """Whoever watches over simulations keeps what strangers lose."""
    assert not ALWAYS_DENIED & DENIED_TO_STRANGERS
    assert {"ptrace", "userfaultfd", "process_vm_writev"} <= DENIED_TO_STRANGERS
    assert {"execve", "socket", "io_uring_setup"} <= ALWAYS_DENIED


def test_unknown_machine_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried with the numbers of another one."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.deny(ALWAYS_DENIED)


def test_kernel_without_landlock_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said."""
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert not landlock.restrict(landlock.Rules(read=()))
