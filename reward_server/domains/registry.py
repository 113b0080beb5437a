"""The available domains, and which served folder belongs to which."""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import structlog

from reward_server.domains.base import DomainContext, ProblemDomain
from reward_server.domains.planning import PlanningDomain
from shared.domains.custom_metrics import CUSTOM
from shared.errors import ConfigError

__all__ = ["GROUP", "domain_kinds", "open_domains", "parted"]

GROUP = "greenfork.domains"
"""The group of entry points by which packages add domains."""

_RESERVED = ("traffic", CUSTOM)
"""Traffic has its own way; ``custom.…`` are the rewards made of users' own metrics."""

_log = structlog.get_logger(__name__)


def domain_kinds() -> dict[str, type[ProblemDomain]]:
    """The domains other than traffic, by name.

    Raises:
        ConfigError: A package's domain cannot be loaded, or has the same name as another.
    """
    kinds: dict[str, type[ProblemDomain]] = {PlanningDomain.name: PlanningDomain}
    for entry in entry_points(group=GROUP):
        try:
            kind = entry.load()
        except Exception as exc:
            raise ConfigError(
                f"the domain {entry.name} of {entry.value} cannot be loaded: {exc}; repair its "
                "package, or uninstall it"
            ) from exc
        if not (isinstance(kind, type) and issubclass(kind, ProblemDomain)):
            raise ConfigError(f"{entry.value} is no reward_server.domains.ProblemDomain")
        if kind.name in kinds or kind.name in _RESERVED:
            raise ConfigError(
                f"{entry.value} is a second domain called {kind.name}; uninstall its package"
            )
        _log.info("domain_added", domain=kind.name, by=entry.value)
        kinds[kind.name] = kind
    return kinds


def parted(
    datasets: Sequence[Path], kinds: Mapping[str, type[ProblemDomain]]
) -> dict[str, tuple[Path, ...]]:
    """The served folders, by the name of the domain to which they belong."""
    found: dict[str, list[Path]] = {"traffic": [], **{name: [] for name in kinds}}
    for dataset in datasets:
        owner = next((name for name, kind in kinds.items() if kind.claims(dataset)), "traffic")
        found[owner].append(dataset)
    return {name: tuple(folders) for name, folders in found.items()}


def open_domains(
    folders: Mapping[str, tuple[Path, ...]],
    kinds: Mapping[str, type[ProblemDomain]],
    data_dir: Path,
) -> tuple[ProblemDomain, ...]:
    """The domains other than traffic, opened with their folders.

    Raises:
        DatasetError: A folder cannot be read.
    """
    return tuple(
        kind.open(DomainContext(folders[name], data_dir / "domains" / name))
        for name, kind in kinds.items()
    )
