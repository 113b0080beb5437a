"""What simulation processes cannot do any more, tried in real processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.sandbox.confinement import probe
from tests.integration.conftest import OWN

_NOBODY = 65534
can_leave_network = pytest.mark.skipif(
    not probe().network, reason="this platform lets no process leave the network"
)


def run_isolated(tmp_path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code as the fork server's is run."""
    (tmp_path / "intruder.py").write_text(f"import sys, os, socket, resource, json\n{code}\n")
    return subprocess.run(
        [sys.executable, "-m", "sim_workers.sandbox.isolation", "intruder", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


CONNECT = "socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5).sendall(b'hello')"


@can_leave_network
def test_isolated_process_reaches_no_listener(tmp_path: Path) -> None:
    """Which an ordinary process, told the same, does reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ordinary = f"import sys, socket\n{CONNECT}"
        subprocess.run([sys.executable, "-c", ordinary, port], check=True, timeout=60)
        listener.settimeout(5)
        listener.accept()[0].close()
        tried = run_isolated(tmp_path, CONNECT, port)
        assert tried.returncode == 1
        assert "Network is unreachable" in tried.stderr
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@can_leave_network
def test_holders_have_no_network() -> None:
    """Fork server and holder are both in a network namespace that is not the test's."""
    with (
        ForkServer() as fork_server,
        fork_server.open(Open(config=str(OWN["crossing"]), seed=1)) as holder,
    ):
        theirs = Path(f"/proc/{holder.pid}/ns/net").readlink()
        interfaces = Path(f"/proc/{holder.pid}/net/dev").read_text().splitlines()[2:]
        assert holder.own_memory_mb() > 0, "the owner still sees its holders"
    assert theirs != Path("/proc/self/ns/net").readlink()
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try to be somebody else")
@can_leave_network
def test_ordinary_user_can_be_isolated_too() -> None:
    """As a user of a namespace of its own, without any capability there."""
    code = (
        "import json, os\n"
        "from sim_workers.sandbox.isolation import isolate\n"
        f"os.setgid({_NOBODY}); os.setuid({_NOBODY})\n"
        "done = isolate()\n"
        "print(json.dumps([os.getuid(), open('/proc/self/status').read()]))\n"
        "print(done.network)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    said, is_isolated = ran.stdout.splitlines()
    uid, status = json.loads(said)
    if is_isolated == "False":
        pytest.skip("this platform gives ordinary users no namespaces")
    assert uid == _NOBODY
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_file_cannot_grow_without_end(tmp_path: Path) -> None:
    """Beyond the limit writing is an error, and the file stays as long as it was."""
    code = (
        "from sim_workers.sandbox.isolation import limit\n"
        "assert limit(max_file_bytes=100_000)\n"
        "with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "    for _ in range(1000):\n"
        "        file.write(bytes(1000))\n"
    )
    ran = run_isolated(tmp_path, code, str(tmp_path / "grown"))
    assert "File too large" in ran.stderr
    assert (tmp_path / "grown").stat().st_size <= 100_000


def test_memory_can_be_bounded(tmp_path: Path) -> None:
    """Beyond the limit there is none."""
    code = (
        "from sim_workers.sandbox.isolation import limit_memory\n"
        "limit_memory(200 * 2**20)\n"
        "bytearray(50 * 2**20)\n"
        "print('fits', flush=True)\n"
        "bytearray(400 * 2**20)\n"
    )
    ran = run_isolated(tmp_path, code)
    assert ran.stdout == "fits\n"
    assert "MemoryError" in ran.stderr


def test_limits_are_taken(tmp_path: Path) -> None:
    """No memory dumps, few descriptors, no endless files."""
    code = (
        "names = ('CORE', 'NOFILE', 'FSIZE')\n"
        "print(json.dumps([resource.getrlimit(getattr(resource, 'RLIMIT_' + n)) for n in names]))"
    )
    core, descriptors, size = json.loads(run_isolated(tmp_path, code).stdout)
    assert core == [0, 0]
    assert descriptors[0] == descriptors[1] <= 1024
    assert size == [4 << 30, 4 << 30]
