"""The working directory of an unfinished build, next to its dataset and with a stable name.

Owns the lock that keeps a second builder out, the plan that decides whether an interrupted build
can be resumed, and the location of the journals. A dataset appears in its place complete, or not at
all.
"""

import errno
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pydantic import JsonValue, ValidationError

from shared.dataset import DatasetLayout
from shared.errors import DatasetError
from shared.files import locked, write_atomically
from shared.model import WireModel
from sim_workers.datasets.journal import Journal

__all__ = ["BuildDirectory", "BuildPlan", "build_directory_of"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class BuildPlan(WireModel):
    """What is being built, and by which program: builds with equal plans are equal to the byte."""

    scenario_id: str
    greenfork: str
    """Version of the program."""
    sumo: str
    engine: int
    """Revision of the engine; see :data:`sim_workers.pool.rollout.ENGINE_REVISION`."""
    options: dict[str, JsonValue]
    """The options, by name."""

    def differences(self, other: "BuildPlan") -> list[str]:
        """The names of what differs between two plans."""
        mine, theirs = (plan.model_dump() for plan in (self, other))
        options = theirs.pop("options")
        named = [name for name in theirs if mine[name] != theirs[name]]
        return named + [
            name
            for name, value in mine["options"].items()
            if name not in options or options[name] != value
        ]


def build_directory_of(out: Path) -> Path:
    """Where the dataset at ``out`` is being built."""
    return out.parent / f".{out.name}.building"


class BuildDirectory:
    """The folder of one build. Use as a context.

    It is removed at the end of the context, unless it contains states and :meth:`finish` was not
    called: the same build can then be resumed from it.

    Args:
        out: Where the dataset will be.
        plan: What to build.
        restart: Discard what an earlier build has left.

    Raises:
        DatasetError: ``not_writable``, also if the disk fills up later; ``build_running`` if
            another build is running here; ``other_build`` if a different build was begun here and
            ``restart`` is not set.
    """

    def __init__(self, out: Path, plan: BuildPlan, restart: bool) -> None:
        self._out = out
        self._plan = plan
        self._restart = restart
        self._root = build_directory_of(out)
        self._journals = self._root / "journals"
        self._lock = ExitStack()
        self._is_finished = False
        self.layout = DatasetLayout(self._root / "dataset")

    def __enter__(self) -> Self:
        try:
            self._root.parent.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._prepare()
            except BaseException:
                self._lock.close()
                raise
        except OSError as exc:
            message = f"cannot write to {self._out.parent}: {exc.strerror}"
            raise DatasetError(message, "not_writable") from exc
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        is_done = self._is_finished or not self._has_states()
        if is_done:
            shutil.rmtree(self._root, ignore_errors=True)
        self._lock.close()
        if isinstance(error, OSError) and error.errno in _FULL:
            hint = "" if is_done else "; free some space, then run the same command again to resume"
            message = f"cannot write to {self._root}: {error.strerror}{hint}"
            raise DatasetError(message, "not_writable") from error

    def journal(self, run: str) -> Journal:
        """The journal of a run."""
        return Journal(self._journals / f"{run}.jsonl", self.layout)

    def draft(self, name: str) -> Path:
        """A path for a file being written; callers must choose distinct names.

        No other process uses it, not even a process of a killed build that has not noticed yet.
        """
        return self._root / f"{name}-{os.getpid()}.draft"

    def finish(self) -> None:
        """Moves the dataset to where it belongs."""
        self.layout.root.replace(self._out)
        self._is_finished = True

    def _take_lock(self) -> None:
        """Takes the folder's lock, which is held until the process ends, however it ends."""
        while True:
            self._root.mkdir(exist_ok=True)
            try:
                folder = self._lock.enter_context(locked(self._root, waits=False))
            except BlockingIOError as exc:
                raise DatasetError(
                    f"another process is building {self._out} right now", "build_running"
                ) from exc
            if _is_at(folder, self._root):
                return
            self._lock.close()  # whoever had it has just removed it

    def _prepare(self) -> None:
        plan = self._root / "plan.json"
        if self._restart or not plan.exists():
            for path in self._root.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            self._compare(plan)
        self._journals.mkdir(exist_ok=True)
        self.layout.states.mkdir(parents=True, exist_ok=True)
        write_atomically(plan, self._plan.model_dump_json().encode(), self.draft("plan"))

    def _compare(self, path: Path) -> None:
        try:
            begun = BuildPlan.model_validate_json(path.read_bytes())
        except ValidationError:
            differences = ["the plan's form"]
        else:
            differences = self._plan.differences(begun)
        if differences:
            raise DatasetError(
                f"an unfinished build of {self._out} differs in {', '.join(differences)}; repeat "
                "its command to resume it, or pass --restart to discard it and start again",
                "other_build",
            )

    def _has_states(self) -> bool:
        return any(path.stat().st_size for path in self._journals.glob("*.jsonl"))


def _is_at(folder: int, path: Path) -> bool:
    """Whether an open folder is still the one at that path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(folder)
    return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
