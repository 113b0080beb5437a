"""Where :mod:`.intruder` is let loose: a folder, a neighbour, listeners, and its user's Python."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.integration.conftest import OWN

_ROOT = Path(__file__).parents[3]
_LIMIT_S = 60.0
Reports = dict[str, dict[str, Any]]
"""By stage of a simulation process and attempt, what came of it."""


@cache
def interpreter_of(user: int | None) -> str | None:
    """A Python that the user may start; ours may lie in somebody's home folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        ask = [found, "-c", "import pydantic, libsumo"]
        variables = {"PYTHONPATH": sysconfig.get_path("purelib"), "LIBSUMO_AS_TRACI": "quiet"}
        try:
            subprocess.run(ask, user=user, group=user, env=variables, check=True, cwd="/")
        except (OSError, subprocess.SubprocessError):
            continue
        return found
    return None


class IntruderStage:
    """A folder that anybody may write to, a neighbour's file, and listeners."""

    def __init__(self, folder: Path, user: int | None) -> None:
        self.home, self._user = folder / "home", user
        self.victim = folder / "neighbour" / "victim"
        shutil.copytree(OWN["crossing"].parent, self.home)
        self.victim.parent.mkdir()
        self.victim.write_text("precious")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)

    def run(self, *arguments: str) -> Reports:
        """What the intruder could do."""
        with self.attempts() as config:
            return self._run(str(config), *arguments)

    @contextmanager
    def attempts(self) -> Iterator[Path]:
        """Beside a configuration; while it lasts there is somebody to be reached."""
        config = self.home / OWN["crossing"].name
        place = self.home.parent / "socket"
        place.unlink(missing_ok=True)
        sleep = [shutil.which("sleep") or "sleep", "60"]
        with (
            socket.create_server(("127.0.0.1", 0)) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_UNIX) as path,
            subprocess.Popen(sleep, user=self._user, group=self._user) as neighbour,
        ):
            udp.bind(("127.0.0.1", 0))
            path.bind(str(place))
            place.chmod(0o777)
            path.listen()
            given = {
                "folder": str(self.home),
                "victim": str(self.victim),
                "pid": neighbour.pid,
                "tcp": tcp.getsockname()[1],
                "udp": udp.getsockname()[1],
                "path": str(place),
            }
            config.with_name("attempts.json").write_text(json.dumps(given))
            config.with_name("attempts.json").chmod(0o666)
            try:
                yield config
            finally:
                neighbour.kill()

    def _run(self, *arguments: str) -> Reports:
        variables = {
            "PYTHONPATH": os.pathsep.join([str(_ROOT), sysconfig.get_path("purelib")]),
            "MALLOC_MMAP_THRESHOLD_": "1",
            "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
            "GREENFORK_API_KEY": "secret",
        }
        ran = subprocess.run(
            [str(interpreter_of(self._user)), "-m", f"{__package__}.intruder", *arguments],
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            env=variables,
            capture_output=True,
            text=True,
            timeout=2 * _LIMIT_S,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        found: Reports = json.loads(ran.stdout)
        return found
