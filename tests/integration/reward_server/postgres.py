"""A private PostgreSQL server: a process of its own, in a folder of its own, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg

__all__ = ["PostgresServer", "postgres_server"]

_START_S = 30.0
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_CONFIG = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 60
log_destination = stderr
"""
_ADVICE = "install PostgreSQL (Debian: apt-get install postgresql), or put its bin folder into PATH"


class PostgresServer:
    """A server that tests may stop, kill and start again.

    Args:
        folder: Where its data and socket are; may be written by ``user``.
        user: Whom it runs as; None, whoever runs the tests.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Makes an empty server."""
        options = ["--username=greenfork", "--auth=trust", "--no-sync", "--locale=C"]
        subprocess.run(
            [_program("initdb"), f"--pgdata={self._data}", "--encoding=UTF8", *options],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_CONFIG.format(folder=self._folder))

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data)],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        end_s = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end_s, (self._folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops it.

        Args:
            mode: ``immediate`` ends it as a power cut would; it recovers at the next start.
        """
        if self._process is not None:
            self._process.send_signal(_SIGNALS[mode])
            self._process.wait(timeout=30)
            self._process = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops it and starts it again."""
        self.stop(mode)
        self.start()

    def new_database(self) -> str:
        """The URL of a database that nobody has used."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://greenfork@/{name}?host={self._folder}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _conninfo(self, name: str) -> str:
        return f"host={self._folder} user=greenfork dbname={name} connect_timeout=5"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs, and in the end leaves nothing."""
    apt_get = shutil.which("apt-get")
    if _find("initdb") is None and os.geteuid() == 0 and apt_get:
        _install(apt_get)
    user = _unprivileged_user() if os.geteuid() == 0 else None
    # pytest's own folders are closed to other users, and too long for the name of a socket.
    folder = Path(tempfile.mkdtemp(prefix="greenfork-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = PostgresServer(folder, user)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)


def _install(apt_get: str) -> None:
    install = ["install", "-y", "--no-install-recommends", "postgresql"]
    for command in (["update"], install):
        subprocess.run(
            [apt_get, *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _unprivileged_user() -> str:
    """PostgreSQL refuses to run as root."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _program(name: str) -> str:
    path = _find(name)
    assert path is not None, f"no {name} found: {_ADVICE}"
    return path


def _find(name: str) -> str | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    search = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    return shutil.which(name, path=search)
