"""A gateway as a process of its own, to be measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

__all__ = ["GatewayServer"]


class GatewayServer:
    """``greenfork serve``, ready to score. Use as a context."""

    def __init__(self, dataset: Path, data_dir: Path, workers: int) -> None:
        command = [sys.executable, "-m", "greenfork", "serve", "--dataset", str(dataset)]
        command += ["--data-dir", str(data_dir), "--port", "0", "--workers", str(workers), "--json"]
        self._log = (data_dir.parent / "gateway.log").open("wb")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        self.port = 0

    def __enter__(self) -> Self:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            words = json.loads(line)["message"]
            if words.startswith("ready"):
                self.port = urlsplit(words.split()[-1]).port or 0
                return self
        raise RuntimeError("the gateway ended before it was ready")

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        """Resident memory of the gateway's own process, MiB."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
