"""One Ray for the gateways of all test processes: to start one takes seconds of computing.

It ends with the test run that asked for it, however that ends. What a gateway that starts a Ray of
its own leaves behind is tested in :mod:`tests.integration.reward_server.test_serve`.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import psutil
from filelock import FileLock

__all__ = ["shared_ray"]

_CPUS = 16
"""Of which each worker of a gateway takes one; they are only counted."""


@cache
def shared_ray() -> dict[str, str]:
    """Environment variables with which a gateway joins it; starts it when first asked for."""
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    noted = Path(tempfile.gettempdir(), f"greenfork-test-ray-{os.getuid()}-{run}.json")
    with FileLock(f"{noted}.lock"):
        if not noted.exists():
            noted.touch(mode=0o600)
            noted.write_text(json.dumps(_start(run, noted)))
        variables: dict[str, str] = json.loads(noted.read_text())
    return variables


def _start(run: int, noted: Path) -> dict[str, str]:
    # Ray tells gateways that join where it is by this machine's address, so it listens there; the
    # token keeps everybody else out.
    admission = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    holding = subprocess.Popen(
        [sys.executable, "-m", __name__, str(run), str(noted)],
        env=os.environ | admission,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert holding.stdout is not None
    with holding.stdout as said:
        address = said.readline().strip()
    assert address, "Ray has not started"
    holding.returncode = 0  # Nobody waits for it: it outlives the process that starts it.
    return admission | {"GREENFORK_SERVER_RAY_ADDRESS": address}


def main(run: int, noted: Path) -> None:
    """Holds Ray until the test run ends."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    context = ray.init(
        num_cpus=_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=256 * 1024 * 1024,
    )
    sys.stdout.write(f"{context.address_info['gcs_address']}\n")
    sys.stdout.flush()
    if psutil.pid_exists(run):
        psutil.Process(run).wait()
    noted.unlink(missing_ok=True)
    Path(f"{noted}.lock").unlink(missing_ok=True)
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
