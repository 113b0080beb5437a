"""A package index of one wheel, as a machine on which nothing is prepared finds it: by HTTP."""

import base64
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

__all__ = ["PASSWORD", "WheelIndex", "fetch_wheel", "serve_wheel"]

PASSWORD = "wheels-for-the-trainer"
_LOGIN = "Basic " + base64.b64encode(f"builder:{PASSWORD}".encode()).decode()


class WheelIndex(ThreadingHTTPServer):
    """Serves ``simple/torch/`` and the wheel it names, to callers with a password (PEP 503)."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.wheel = wheel
        self.served: list[str] = []
        """Paths that were answered with what is there, in order."""

    @property
    def url(self) -> str:
        """What to give pip, on this machine and in a build that shares its network."""
        return f"http://builder:{PASSWORD}@127.0.0.1:{self.server_port}/simple/"


class _Pages(BaseHTTPRequestHandler):
    server: WheelIndex

    def do_GET(self) -> None:
        """The page of torch, its wheel, or an error."""
        path = unquote(self.path)
        if self.headers.get("Authorization") != _LOGIN:
            self.send_response(HTTPStatus.UNAUTHORIZED)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/simple/torch/":
            name = self.server.wheel.name
            page = f'<a href="/files/{quote(name)}">{name}</a>'.encode()
            self._begin(path, "text/html", len(page))
            self.wfile.write(page)
        elif path == f"/files/{self.server.wheel.name}":
            self._begin(path, "application/octet-stream", self.server.wheel.stat().st_size)
            with self.server.wheel.open("rb") as wheel:
                shutil.copyfileobj(wheel, self.wfile)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _begin(self, path: str, kind: str, length: int) -> None:
        self.server.served.append(path)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Says nothing: what was served is on record."""


@contextmanager
def serve_wheel(wheel: Path) -> Iterator[WheelIndex]:
    """An index of this wheel, on a free port of this machine."""
    with WheelIndex(wheel) as index:
        thread = Thread(target=index.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            index.shutdown()
            thread.join()


def fetch_wheel(requirement: str, folder: Path) -> Path:
    """The wheel for the images' Python, from where pip finds it on this machine.

    Raises:
        subprocess.CalledProcessError: If pip finds none.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--python-version", "3.11", "--only-binary", ":all:"]
    command += ["--platform", f"manylinux_2_28_{platform.machine()}"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel
