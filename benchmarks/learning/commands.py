"""Runs commands of ``greenfork`` as a user would type them, several at a time, a core each."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from benchmarks.learning.stages import Stages

__all__ = ["CORES", "Command", "CommandFailed", "run_all"]

CORES = 2
"""What the proof is made for, and how many commands run side by side."""

_LAST_LINES = 15


class CommandFailed(RuntimeError):
    """A command ended with another status than 0; the message has the end of what it said."""


@dataclass(frozen=True)
class Command:
    """One command of ``greenfork``."""

    name: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        """As a user would type it."""
        return shlex.join(("greenfork", *self.arguments))

    def run(self, logs: Path) -> str:
        """Runs it to its end on one thread; what it says goes into a file.

        Args:
            logs: The folder of that file.

        Returns:
            The command as a user would type it.

        Raises:
            CommandFailed: It failed.
        """
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"{self.name}.log"
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", "cli", *self.arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | limits,
                check=False,
            )
        if done.returncode:
            end = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise CommandFailed("\n".join([f"{self.text}\nfailed, see {log}:", *end]))
        return self.text


def run_all(commands: Sequence[Command], stages: Stages, logs: Path, at_once: int = CORES) -> None:
    """Runs commands, so many at a time, and waits for all of them. Each is a stage.

    Args:
        commands: None needs what another one of them makes.
        stages: What need not be run again.
        logs: The folder that what they say goes to, a file each.
        at_once: How many run side by side.

    Raises:
        CommandFailed: One failed; those that ran beside it were let finish.
    """

    def run(command: Command) -> None:
        stages.run(command.name, lambda: command.run(logs))

    with ThreadPoolExecutor(at_once) as executor:
        running = [executor.submit(run, command) for command in commands]
        done, waiting = wait(running, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in done:
        future.result()
