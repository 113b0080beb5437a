"""The reward service of the demo: started as a user would, waited for, and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from shared.errors import NotReady

__all__ = ["free_port", "running"]

_READY_LIMIT_S = 120.0
_STOP_LIMIT_S = 30.0


@contextmanager
def running(command: list[str], url: str, log: Path, console: Console) -> Iterator[None]:
    """The service while the block runs.

    Args:
        command: What starts it.
        url: Where it will answer.
        log: Where its output goes.
        console: Where to say what is being waited for.

    Raises:
        NotReady: It does not become ready.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            _await_ready(server, url, log, console)
            yield
        finally:
            _stop(server)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(server: "subprocess.Popen[bytes]", url: str, log: Path, console: Console) -> None:
    import httpx

    deadline_s = time.monotonic() + _READY_LIMIT_S
    with console.status("waiting for the first state to be scored (GET /readyz)"):
        while time.monotonic() < deadline_s and server.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=10, trust_env=False).is_success:
                    console.print(f"ready at {url}; API documentation at {url}/docs")
                    return
            time.sleep(0.2)
    raise NotReady(f"the service did not become ready; see its log, {log}")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
