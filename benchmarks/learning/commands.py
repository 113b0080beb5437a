"""Runs commands of ``greenfork`` as a user would type them, several at a time, a core each."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.learning.stages import Stages

__all__ = [
    *("CORES", "Command", "CommandChanged", "CommandFailed", "Program"),
    *("check_unchanged", "program_parser", "run_all"),
]

CORES = 2
"""What the proof is made for, and how many commands run side by side."""

_LAST_LINES = 15
_URL = re.compile(r"(?<=--reward-url )\S+")
"""Another one each time that a service is started; it decides nothing."""


class CommandFailed(RuntimeError):
    """A command ended with another status than 0; the message has the end of what it said."""


class CommandChanged(RuntimeError):
    """A stage was finished by another command than it would be run with now."""


@dataclass(frozen=True)
class Command:
    """One command of ``greenfork``."""

    name: str
    arguments: tuple[str, ...]
    output: Path | None = None
    """The folder that it writes, where it cannot go on in what an interrupted run left there."""

    @property
    def text(self) -> str:
        """As a user would type it."""
        return shlex.join(("greenfork", *self.arguments))

    def is_same(self, text: str) -> bool:
        """Whether a command as a user would type it is this one, but for the URL of the service."""
        return _URL.sub("URL", text) == _URL.sub("URL", self.text)

    def run(self, logs: Path) -> str:
        """Runs it to its end on one thread; what it says goes into a file.

        What an earlier run made as ``output`` is removed first; what was there before that is not.

        Args:
            logs: The folder of that file.

        Returns:
            The command as a user would type it.

        Raises:
            CommandFailed: It failed.
        """
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"{self.name}.log"
        if self.output is not None:
            _clear(self.output, logs / f"{self.name}.begun")
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", "greenfork", *self.arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | limits,
                check=False,
            )
        if done.returncode:
            end = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise CommandFailed("\n".join([f"{self.text}\nfailed, see {log}:", *end]))
        return self.text


def _clear(output: Path, begun: Path) -> None:
    """Removes a folder that a command left, and notes whether the command is the one to make it."""
    if not output.exists():
        begun.touch()
    elif begun.exists():
        shutil.rmtree(output)


def check_unchanged(commands: Sequence[Command], stages: Stages) -> None:
    """Raises where a command's stage was finished by another one.

    Args:
        commands: What would be run now.
        stages: What was done.

    Raises:
        CommandChanged: One differs by more than the URL of the service.
    """
    done = stages.commands()
    for command in commands:
        before = done.get(command.name, command.text)
        if not command.is_same(before):
            raise CommandChanged(
                f"{command.name} was done before by another command:\n  {before}\nand would now be "
                f"done by\n  {command.text}\nGive another folder with --out."
            )


def run_all(commands: Sequence[Command], stages: Stages, logs: Path, at_once: int = CORES) -> None:
    """Runs commands, so many at a time, and waits for all of them. Each is a stage.

    Args:
        commands: None needs what another one of them makes.
        stages: What need not be run again.
        logs: The folder that what they say goes to, a file each.
        at_once: How many run side by side.

    Raises:
        CommandChanged: One was finished before, with other arguments; none is run then.
        CommandFailed: One failed; those that ran beside it were let finish.
    """
    check_unchanged(commands, stages)

    def run(command: Command) -> None:
        stages.run(command.name, lambda: command.run(logs))

    with ThreadPoolExecutor(at_once) as executor:
        running = [executor.submit(run, command) for command in commands]
        done, waiting = wait(running, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in done:
        future.result()


_Plan = TypeVar("_Plan")


@dataclass(frozen=True)
class Program(Generic[_Plan]):
    """One run of a program of many commands. What was finished before is not done again.

    Args:
        plan: What to do.
        out: The folder for everything.
        say: Told how far it is.
    """

    plan: _Plan
    out: Path
    say: Callable[[str], None] = print

    @property
    def stages(self) -> Stages:
        """What was done."""
        return Stages(self.out / "stages", self.say)

    def run(self, commands: Sequence[Command], at_once: int = CORES) -> None:
        """Runs commands, side by side, that were not run before."""
        run_all(commands, self.stages, self.out / "logs", at_once)


def program_parser(
    module: str, description: str, out: Path, quick_out: Path
) -> argparse.ArgumentParser:
    """The options that every such program has.

    Args:
        module: What follows ``python -m``.
        description: What it shows.
        out: Where everything goes by default.
        quick_out: The same with ``--quick``.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=f"{description} What was finished before is not done again.",
    )
    parser.add_argument(
        "--out", type=Path, help=f"folder for everything ({out}; with --quick {quick_out})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="much too small to learn; shows that it runs"
    )
    return parser
