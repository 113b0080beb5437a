"""One Ray for many gateways of a test process: to start one takes seconds of computing.

It ends with the process that asked for it, however that ends. What a gateway that starts a Ray of
its own leaves behind is tested in :mod:`tests.integration.reward_server.test_serve`.
"""

import atexit
import os
import secrets
import subprocess
import sys
from functools import cache

__all__ = ["shared_ray"]

_CPUS = 8
"""Of which each worker of a gateway takes one; they are only counted."""


@cache
def shared_ray() -> dict[str, str]:
    """Environment variables with which a gateway joins it; starts it when first asked for."""
    # Ray tells gateways that join where it is by this machine's address, so it listens there; the
    # token keeps everybody else out.
    admission = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    holding = subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=os.environ | admission,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(holding.communicate)
    assert holding.stdout is not None
    address = holding.stdout.readline().strip()
    assert address, "Ray has not started"
    return admission | {"GREENFORK_SERVER_RAY_ADDRESS": address}


def main() -> None:
    """Holds Ray until the input ends."""
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
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
