"""Looking at real processes through ``/proc``, and waiting for them with a bound."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Seen = TypeVar("_Seen")
_LIMIT_S = 30.0
_PAUSE_S = 0.002
_ROLLOUT_TICKS = 5


def wait_for(look: Callable[[], _Seen], what: str, limit_s: float = _LIMIT_S) -> _Seen:
    """Looks until there is something to see, and returns it."""
    until_s = time.monotonic() + limit_s
    while not (seen := look()):
        if time.monotonic() > until_s:
            raise TimeoutError(f"waited {limit_s:g} s for {what}")
        time.sleep(_PAUSE_S)
    return seen


def children(pid: int) -> list[int]:
    """The child processes of a process, zombies included."""
    return [child for child, (_, parent) in _processes().items() if parent == pid]


def rollouts_of(holder: int) -> list[int]:
    """The rollouts that a holder has under way; the child it keeps ready has hardly run yet."""
    return [child for child in children(holder) if _cpu_ticks(child) >= _ROLLOUT_TICKS]


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    return [p for child in children(pid) for p in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    state, _ = _processes().get(pid, ("Z", 0))
    return state not in "ZX"


def fork_servers_of(owner: int) -> list[int]:
    """The fork servers that workers and builders in process ``owner`` have started."""
    return [
        child for child in children(owner) if b"sim_workers.engine.fork_server" in _command(child)
    ]


def fork_server_of(owner: int) -> int:
    """The only one of them."""
    (fork_server,) = fork_servers_of(owner)
    return fork_server


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _cpu_ticks(pid: int) -> int:
    """Processor time that a process has used, in hundredths of a second."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _processes() -> dict[int, tuple[str, int]]:
    """State and parent of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(folder.name)] = (fields[0], int(fields[1]))
    return found
