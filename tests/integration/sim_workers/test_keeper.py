"""A kept process stands where it stood, or is ended with the reason why it could not."""

import ctypes
import mmap
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from sim_workers.engine.restoring.keeper import keep
from sim_workers.engine.restoring.probe import why_not
from sim_workers.engine.restoring.restorable import Keeper, stop_here
from tests.integration.sim_workers.process_tree import is_alive, wait_for
from tests.kernel import CAN_RESTORE

pytestmark = pytest.mark.skipif(not CAN_RESTORE, reason="the kernel refuses userfaultfd")
_LIMIT_S = 30.0


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    """In a process of its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            keep(theirs)
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        yield Keeper(ours, int(ours.recv(16)))
    os.waitpid(pid, 0)


def _stop_deeper(number: int) -> int:
    """Called by a function in C: on another place of the stack, from where registers lead back."""
    stop_here()
    return number


def _share_nothing() -> None:
    """Unmaps what other tests share in this process, such as the object store of Ray."""
    munmap = ctypes.CDLL(None).munmap
    munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, _ = line.split(" ", 2)
        if "w" in permissions and "s" in permissions:
            start, end = (int(address, 16) for address in addresses.split("-"))
            munmap(start, end - start)


class _Kept:
    """A process that answers each request by what some work returns, and is put back."""

    def __init__(self, keeper: Keeper, work: Callable[[], object], files: tuple[int, ...]) -> None:
        requests, self._requests = Pipe(duplex=False)
        self._replies, replies = Pipe(duplex=False)
        self.pid = os.fork()
        if self.pid == 0:
            self._requests.close()
            self._replies.close()
            self._serve(keeper, work, files, requests, replies)
        requests.close()
        replies.close()

    @staticmethod
    def _serve(
        keeper: Keeper,
        work: Callable[[], object],
        files: tuple[int, ...],
        requests: Connection,
        replies: Connection,
    ) -> None:
        try:
            _share_nothing()
            shared = mmap.mmap(-1, mmap.PAGESIZE) if work is _refused else None
            kept = keeper.take(files)
            stop_here()
            requests.recv_bytes()
            replies.send_bytes(repr(work()).encode())
            max([0], key=_stop_deeper)
            del kept, shared
        finally:
            os._exit(1)

    def ask(self) -> str | None:
        """What the work returned; None if the process has ended."""
        try:
            self._requests.send_bytes(b"")
            assert self._replies.poll(_LIMIT_S), "an answer"
            return self._replies.recv_bytes().decode()
        except (EOFError, BrokenPipeError):
            return None

    def close(self) -> None:
        """Ends it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._requests.close()
        self._replies.close()


@pytest.fixture
def kept(keeper: Keeper) -> Iterator[Callable[..., _Kept]]:
    """Makes kept processes."""
    made = []

    def make(work: Callable[[], object], files: tuple[int, ...] = ()) -> _Kept:
        made.append(_Kept(keeper, work, files))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_memory_is_put_back(kept: Callable[..., _Kept]) -> None:
    """Objects, large and small, as often as one likes."""
    things: list[int] = []
    large = bytearray(3_000_000)

    def change() -> tuple[int, int]:
        things.append(len(things))
        large[::4096] = bytes(b ^ 1 for b in large[::4096])
        return len(things), sum(large)

    process = kept(change)
    assert {process.ask() for _ in range(150)} == {repr((1, len(range(0, 3_000_000, 4096))))}


def test_registers_of_all_kinds_are_put_back(kept: Callable[..., _Kept]) -> None:
    """A computation in floating point gives the same number again."""
    seed = [0.1]

    def change() -> float:
        seed[0] = (seed[0] * 3.7) % 1.0 + 0.123456789
        return seed[0]

    process = kept(change)
    (answer,) = {process.ask() for _ in range(20)}
    assert answer is not None


def test_position_in_a_file_is_put_back(kept: Callable[..., _Kept], tmp_path: Path) -> None:
    """Of a file that is read bit by bit."""
    path = tmp_path / "demand"
    path.write_bytes(bytes(range(200)))
    file = os.open(path, os.O_RDONLY)
    os.lseek(file, 7, os.SEEK_SET)
    process = kept(lambda: os.read(file, 3), (file,))
    assert {process.ask() for _ in range(5)} == {repr(bytes((7, 8, 9)))}
    os.close(file)


def _refused() -> None:
    """The work of a process that shares memory."""


def _map_memory() -> None:
    mmap.mmap(-1, 1 << 20)


def _grow_heap() -> None:
    ctypes.CDLL(None).sbrk(1 << 20)


def _start_thread() -> None:
    threading.Thread(target=int).start()


@pytest.mark.parametrize(
    "work",
    [
        lambda: os.open("/dev/null", os.O_RDONLY),
        lambda: os.close(2),
        lambda: os.dup(2),
        lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        lambda: signal.alarm(100),
        os.fork,
        _map_memory,
        _grow_heap,
        _start_thread,
    ],
    ids=["open", "close", "dup", "handler", "timer", "fork", "map", "heap", "thread"],
)
def test_what_cannot_be_put_back_ends_the_process(
    kept: Callable[..., _Kept], keeper: Keeper, work: Callable[[], object]
) -> None:
    """Before it is done, and the keeper says so."""
    process = kept(work)
    assert process.ask() is None
    assert keeper.reason() == "system_call"


def test_process_that_shares_memory_is_refused(kept: Callable[..., _Kept], keeper: Keeper) -> None:
    """Nobody keeps count of what is written there; the reason says so."""
    process = kept(_refused)
    assert process.ask() is None
    assert keeper.reason() == "refused: the process shares memory that it can write to"


def test_process_that_runs_on_is_another_one(kept: Callable[..., _Kept], keeper: Keeper) -> None:
    """After one has ended, the next is kept by the same keeper."""
    assert kept(_grow_heap).ask() is None
    keeper.reason()
    assert [kept(lambda: 5).ask()] == ["5"]


def test_nothing_outlives_the_keeper(kept: Callable[..., _Kept], keeper: Keeper) -> None:
    """Not even what it keeps."""
    process = kept(lambda: 5)
    assert process.ask() == "5"
    os.kill(keeper.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(process.pid), "the kept process to end")


def test_probe_finds_that_it_works() -> None:
    """Where the kernel allows it: otherwise every service would quietly fork."""
    assert why_not() is None
