"""SUMO's own outputs of an episode, from a process that cannot open files for writing.

They are written into memory, to ``memfd`` files, which SUMO opens through ``/proc/self/fd``. A
forked process shares these with its parent: a rollout discards its own output, and a second episode
copies what there is so far. Whatever SUMO has buffered is in both processes, at the same position.
"""

import fcntl
import os
from pathlib import Path

__all__ = ["OUTPUTS", "EpisodeOutputs"]

OUTPUTS = ("tripinfo", "summary", "statistic")
"""The outputs, in the order in which they are handed over."""

_DESCRIPTORS = Path("/proc/self/fd")
_NOWHERE = "/dev/null"


class EpisodeOutputs:
    """The files of one simulation, which is started with :attr:`arguments`."""

    def __init__(self) -> None:
        self._files = {name: os.memfd_create(name, os.MFD_CLOEXEC) for name in OUTPUTS}

    @property
    def arguments(self) -> tuple[str, ...]:
        """SUMO's arguments; they include unfinished and undeparted vehicles."""
        names = [
            f"--{name}-output={_DESCRIPTORS / str(file)}" for name, file in self._files.items()
        ]
        return (
            *names,
            "--tripinfo-output.write-unfinished=true",
            "--tripinfo-output.write-undeparted=true",
        )

    def silence(self) -> None:
        """In a forked process: discards all output from here on."""
        nowhere = os.open(_NOWHERE, os.O_WRONLY | os.O_CLOEXEC)
        for file in self._files.values():
            for opened in self._opened(file):
                os.dup2(nowhere, opened, inheritable=False)
        os.close(nowhere)

    def make_own(self) -> None:
        """In a forked process: gets files of its own, with the output so far."""
        for name, shared in list(self._files.items()):
            own = os.memfd_create(name, os.MFD_CLOEXEC)
            _copy(shared, own)
            for opened in self._opened(shared):
                position = os.lseek(opened, 0, os.SEEK_CUR)
                path = _DESCRIPTORS / str(own)
                again = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                os.lseek(again, position, os.SEEK_SET)
                os.dup2(again, opened, inheritable=False)
                os.close(again)
            os.close(shared)
            self._files[name] = own

    def hand_over(self, name: str, target: int) -> None:
        """Writes the output so far to a file."""
        _copy(self._files[name], target)

    def _opened(self, file: int) -> list[int]:
        """The descriptors through which SUMO writes to it."""
        wanted, found = os.fstat(file), []
        for entry in list(_DESCRIPTORS.iterdir()):
            descriptor = int(entry.name)
            try:
                is_same = os.path.samestat(wanted, os.fstat(descriptor))
                mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
            except OSError:  # the listing's own descriptor, closed by now
                continue
            if is_same and descriptor != file and mode != os.O_RDONLY:
                found.append(descriptor)
        return found


def _copy(source: int, target: int) -> None:
    done, size = 0, os.fstat(source).st_size
    while done < size:
        done += os.sendfile(target, source, done, size - done)
