"""The ``sumo`` program of this machine: finding it, and running it as a TraCI server."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from shared.errors import InputError
from sim_workers.sandbox.confinement import confined_program, environment

__all__ = ["SumoProcess", "find_sumo"]

_INSTALL = "pip install 'greenfork[verify]'"
_QUIET = ("--no-step-log", "--no-warnings", "--duration-log.disable")
_VERSION = re.compile(r"\b(\d+\.\d+\.\d+)\b")
_VERSION_LIMIT_S = 60
_LOG_TAIL_BYTES = 2_000


def find_sumo(version: str) -> Path:
    """The ``sumo`` program of the eclipse-sumo package, of ``SUMO_HOME``, or on the ``PATH``.

    Raises:
        InputError: ``sumo_missing``: there is none, or TraCI's client is not installed;
            ``sumo_of_other_version``: the first one found has another version.
    """
    if find_spec("traci") is None:
        raise InputError(f"the traci package is not installed: {_INSTALL}", "sumo_missing")
    program = next((path for path in _candidates() if path.is_file()), None)
    if program is None:
        raise InputError(f"there is no sumo program on this machine: {_INSTALL}", "sumo_missing")
    found = _version_of(program)
    if found != version:
        raise InputError(
            f"the dataset was made by SUMO {version}, {program} is SUMO {found or 'unknown'}; "
            f"install the same version: pip install eclipse-sumo=={version}",
            "sumo_of_other_version",
        )
    return program


@dataclass(eq=False)
class SumoProcess:
    """A running ``sumo``, confined to its folder. Use as a context, which kills it at the end."""

    program: Path
    folder: Path
    """The folder that it is started in."""
    arguments: Sequence[str]
    """Its arguments."""
    variables: Mapping[str, str]
    """The environment variables that its configuration names."""

    def __enter__(self) -> Self:
        folder = self.folder.resolve()
        self._log = tempfile.TemporaryFile()
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port: int = free.getsockname()[1]
        command = [str(self.program.resolve()), *self.arguments, *_QUIET]
        command += ["--remote-port", str(self.port)]
        self.process = subprocess.Popen(
            confined_program(command, read=[folder], write=[folder]),
            cwd=folder,
            env=environment() | dict(self.variables),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """The end of what it printed."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace").strip()


def _candidates() -> Iterator[Path]:
    spec = find_spec("sumo")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "bin" / "sumo"
    if "SUMO_HOME" in os.environ:
        yield Path(os.environ["SUMO_HOME"]) / "bin" / "sumo"
    on_path = shutil.which("sumo")
    if on_path is not None:
        yield Path(on_path)


def _version_of(program: Path) -> str | None:
    try:
        said = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said)
    return match[1] if match else None
