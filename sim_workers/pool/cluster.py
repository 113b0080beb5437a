"""Starting Ray, or joining one that runs."""

import os

import ray
from ray._private import ray_constants

__all__ = ["start_ray"]

_LOOPBACK = "127.0.0.1"
_OBJECT_STORE_BYTES = 256 * 1024 * 1024


def start_ray(address: str | None, workers: int | None) -> None:
    """Starts Ray in this process's tree, or joins it.

    Args:
        address: Of a Ray cluster that runs; None starts one.
        workers: How many CPUs it is to have; None: all.

    Raises:
        ConnectionError: None runs there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        ray.init(address=address, log_to_driver=False)
        return
    # Ray offers its ports to everybody unless it is told, in the way of desktop systems, that there
    # is one machine only. Nobody else is to use this one: it runs whatever it is sent.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        num_cpus=workers or os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address=_LOOPBACK,
    )
