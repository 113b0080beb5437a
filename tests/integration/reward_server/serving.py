"""A gateway as a process of its own, on real datasets."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.shared_ray import shared_ray

__all__ = ["GREENFORK", "MARK", "processes_of", "served"]

GREENFORK = [sys.executable, "-c", "from greenfork.main import app; app()"]
MARK = "GREENFORK_TEST_RUN"


@contextmanager
def served(
    *datasets: Path,
    data_dir: Path,
    signum: signal.Signals = signal.SIGTERM,
    has_own_ray: bool = False,
) -> Iterator[str]:
    """Serves datasets, gives the URL, ends the server with a signal, and finds nothing left."""
    joined = {} if has_own_ray else shared_ray()
    mark = uuid.uuid4().hex
    options = [option for dataset in datasets for option in ("--dataset", str(dataset))]
    options += ["--data-dir", str(data_dir), "--port", "0", "--workers", "1", "--json"]
    server = subprocess.Popen(
        [*GREENFORK, "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | joined | {MARK: mark},
        text=True,
    )
    assert server.stdout is not None
    with server, server.stdout as said:
        try:
            yield next(url for line in said if (url := _ready_url(json.loads(line)["message"])))
        finally:
            server.send_signal(signum)
            status = server.wait(timeout=30)
    assert status == 0
    assert processes_of(mark) == [], "nothing may be left running"


def _ready_url(message: str) -> str | None:
    return message.split()[-1] if message.startswith("ready") else None


def processes_of(mark: str) -> list[str]:
    """The command lines of all processes that inherited a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found
