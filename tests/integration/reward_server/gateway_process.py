"""A gateway that may be killed, and started again on the same data."""

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.integration.reward_server.serving import GREENFORK
from tests.integration.sim_workers.process_tree import wait_for

__all__ = ["GatewayProcess"]

_MARK = "GREENFORK_TEST_KILLED"


class GatewayProcess:
    """A gateway on a dataset and a data directory, with one worker.

    Args:
        dataset: What it serves.
        data_dir: Where it keeps its data.
        variables: What its environment has besides.
        more: Further datasets.
    """

    def __init__(
        self,
        dataset: Path,
        data_dir: Path,
        variables: Mapping[str, str] = {},
        more: Sequence[Path] = (),
    ) -> None:
        self._variables = variables
        datasets = [option for one in (dataset, *more) for option in ("--dataset", str(one))]
        self._options = [*datasets, "--data-dir", str(data_dir)]
        self._mark = ""
        self._killed: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Returns when it is ready."""
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [*GREENFORK, "serve", *self._options, "--port", "0", "--workers", "1", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self._variables, _MARK: self._mark},
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: str = json.loads(line)["message"]
            if message.startswith("ready"):
                self.url = message.split()[-1]
                return
        raise AssertionError("the gateway has ended")

    def kill(self) -> None:
        """Ends it as an accident would. What it leaves behind may last for a while."""
        self._end(signal.SIGKILL)
        self._killed.append(self._mark)

    def kill_worker(self) -> None:
        """Ends its worker as an accident would.

        Its mark may be gone: what Ray calls the process is written over its environment.
        """
        wait_for(self._workers, "a worker")[0].kill()

    def stop(self) -> None:
        """Ends it in order; nothing may be left. What was left by accidents is ended, too."""
        assert self._end(signal.SIGTERM) == 0
        assert _left(self._mark) == []
        for mark in self._killed:
            for pid in _left(mark):
                os.kill(pid, signal.SIGKILL)

    def _workers(self) -> list[psutil.Process]:
        assert self._process is not None
        below = psutil.Process(self._process.pid).children(recursive=True)
        return [one for one in below if "DomainWorker" in _title(one)]

    def _end(self, signum: signal.Signals) -> int:
        assert self._process is not None
        with self._process as process:
            process.send_signal(signum)
            return process.wait(timeout=30)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return ""


def _left(mark: str) -> list[int]:
    """Processes that inherited a mark, but for those that have ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
