"""Trying, before anything is served, whether users' own metrics can be loaded.

``python -m sim_workers.engine.custom.trial METRICS`` reports which cannot, from a process that is
confined in the same way as those of simulations.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

from shared.errors import ConfigError
from sim_workers.engine.custom.installed import InstalledMetric
from sim_workers.engine.custom.loading import as_argument, load
from sim_workers.sandbox.confinement import confined_module, environment

__all__ = ["refuse_unloadable"]

_LIMIT_S = 120.0


def refuse_unloadable(metrics: Sequence[InstalledMetric]) -> None:
    """Returns if all of these metrics can be loaded.

    Raises:
        ConfigError: One cannot; its package is named.
    """
    if not metrics:
        return
    names = ", ".join(sorted({metric.package for metric in metrics}))
    command = confined_module([one.module for one in metrics], __name__, as_argument(metrics))
    try:
        said = subprocess.run(
            command,
            env=environment(one.root for one in metrics),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_LIMIT_S,
        )
        failures: dict[str, str] = json.loads(said.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as exc:
        raise ConfigError(f"the metrics of {names} cannot be imported: {exc}") from exc
    for metric in metrics:
        if metric.name in failures:
            raise ConfigError(
                f"the metric {metric.name} of {metric.package} cannot be loaded: "
                f"{failures[metric.name]}; repair the package, or uninstall it"
            )


def _main() -> None:
    loaded = load(sys.argv[1])
    failures = {name: one.failure for name, one in loaded.items() if one.code is None}
    sys.stdout.write(f"\n{json.dumps(failures)}\n")


if __name__ == "__main__":
    _main()
