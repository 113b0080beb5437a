"""A way in a process of its own: ``python -m benchmarks.served_way NAME CASE``, CASE as JSON.

Answers each number on standard input by so many rollouts in a row, as JSON on standard output; ends
with its input. Whatever libraries print goes to standard error.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from benchmarks.ways import WAYS, Case, Measured

__all__ = ["ServedWay", "main"]

_ROOT = Path(__file__).parents[1]


class ServedWay:
    """A process that rolls out one way. Use as a context.

    Args:
        name: One of :data:`benchmarks.ways.WAYS`.
        case: What is rolled out.
        tree: A checkout whose packages are measured, with the benchmarks of this one.
    """

    def __init__(self, name: str, case: Case, tree: Path = _ROOT) -> None:
        described = json.dumps({key: str(value) for key, value in asdict(case).items()})
        paths = os.pathsep.join(map(str, (_own_benchmarks(case, tree), tree)))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.served_way", name, described],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,  # which Ray's workers import from first
            env=os.environ | {"PYTHONPATH": paths},
        )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._input.close()
        self._process.wait()
        self._output.close()

    def ask(self, count: int) -> None:
        """Begins so many rollouts in a row; :meth:`answer` fetches them."""
        self._input.write(f"{count}\n")
        self._input.flush()

    def answer(self) -> list[Measured]:
        """The rollouts that were asked for."""
        return [Measured(**one) for one in json.loads(self._read())]

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None, "it is a pipe"  # noqa: S101
        return self._process.stdin

    @property
    def _output(self) -> IO[str]:
        assert self._process.stdout is not None, "it is a pipe"  # noqa: S101
        return self._process.stdout

    def _read(self) -> str:
        line = self._output.readline()
        if not line:
            raise SystemExit(f"the process of a way ended: {self._process.args!r}")
        return line


def _own_benchmarks(case: Case, tree: Path) -> Path:
    """A folder from which nothing but these benchmarks can be imported."""
    if tree == _ROOT:
        return _ROOT
    folder = case.dataset.parent / "benchmarks-only"
    folder.mkdir(exist_ok=True)
    link = folder / "benchmarks"
    if not link.exists():
        link.symlink_to(_ROOT / "benchmarks")
    return folder


def main() -> None:
    """Serves until there is no further input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, described = sys.argv[1:]
    way = WAYS[name](Case.from_text(json.loads(described)))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        rollouts = [asdict(way.rollout()) for _ in range(int(line))]
        answers.write(f"{json.dumps(rollouts)}\n")
        answers.flush()
    way.close()


if __name__ == "__main__":
    main()
